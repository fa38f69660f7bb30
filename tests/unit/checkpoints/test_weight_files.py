"""Weights in several files, and files in the oldest format of torch.save."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from refvid.checkpoints.load import identify, load_backbone
from refvid.checkpoints.weight_files import weight_files, weights_in
from refvid.errors import CheckpointMismatch, CheckpointUnavailable, InputError
from refvid.latents.recognise import recognise_latents

CPU = torch.device("cpu")
PARTS = 3


@pytest.fixture(params=["safetensors", "bin"])
def suffix(request) -> str:
    return str(request.param)


def cut(folder: Path, weights: dict[str, torch.Tensor], suffix: str, index: bool = True) -> Path:
    """Write a checkpoint in parts, as diffusers and transformers do."""
    folder.mkdir()
    where: dict[str, str] = {}
    keys = list(weights)
    for number in range(PARTS):
        name = f"model-{number + 1:05d}-of-{PARTS:05d}.{suffix}"
        part = {key: weights[key] for key in keys[number::PARTS]}
        where |= dict.fromkeys(part, name)
        if suffix == "bin":
            torch.save(part, folder / name)
        else:
            save_file(part, folder / name)
    if index:
        text = json.dumps({"metadata": {"total_size": 1}, "weight_map": where})
        (folder / f"model.{suffix}.index.json").write_text(text)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.parametrize("index", [True, False])
def test_a_folder_of_parts_is_loaded(tmp_path, official, tiny, cache, suffix, index):
    folder = cut(tmp_path / "model", official, suffix, index)
    backbone = load_backbone(folder, CPU, torch.float32, sizes=tiny, cache=cache)
    state = backbone.model.state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(state[key].half(), official[key]) for key in official)
    assert identify(folder) == "wan2.1"


def test_index_and_single_parts_stand_for_all(tmp_path, official, tiny, cache):
    folder = cut(tmp_path / "model", official, "safetensors")
    for name in ("model.safetensors.index.json", "model-00002-of-00003.safetensors"):
        backbone = load_backbone(folder / name, CPU, torch.float32, sizes=tiny, cache=cache)
        assert backbone.name == "wan2.1"
    assert len(list((cache.folder / "converted").glob("*.safetensors"))) == 1


def test_a_missing_part_is_named(tmp_path, official):
    folder = cut(tmp_path / "model", official, "safetensors")
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointUnavailable, match=r"model-00002-of-00003.*same folder"):
        load_backbone(folder, CPU, torch.float32)


def test_parts_are_taken_before_copies_in_another_format(tmp_path, official):
    folder = cut(tmp_path / "model", official, "safetensors")
    torch.save(official, folder / "model.bin")
    assert weights_in(folder).name == "model.safetensors.index.json"


def test_a_folder_with_several_checkpoints_is_answered_with_their_names(tmp_path, official):
    folder = cut(tmp_path / "model", official, "safetensors")
    save_file(official, folder / "other.safetensors")
    with pytest.raises(CheckpointUnavailable, match="path of one") as failure:
        weights_in(folder)
    named = [word.strip("(),:") for word in str(failure.value).split() if "safetensors" in word]
    for name in named:
        assert weight_files(folder / name), "the advice works"


def test_a_folder_without_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointUnavailable, match="holds no weights"):
        weights_in(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"weight_map": {}}',
        '{"weight_map": {"a": 3}}',
        '{"weight_map": {"a": "../secret.safetensors"}}',
        '{"weight_map": {"a": "/etc/passwd"}}',
        '{"weight_map": {"a": ".."}}',
        '{"weight_map": ["a"]}',
    ],
)
def test_an_index_names_files_of_its_own_folder_only(tmp_path, text):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(text)
    with pytest.raises(CheckpointMismatch, match="fetch it again"):
        weight_files(index)


@pytest.mark.parametrize("name", ["model.pt", "model-1-of-3.pt", "take-2-of-2.latent"])
def test_other_files_stand_alone(tmp_path, name):
    (tmp_path / name).touch()
    assert weight_files(tmp_path / name) == (tmp_path / name,)


@pytest.fixture
def old(tmp_path, official) -> Path:
    path = tmp_path / "old.pt"
    torch.save(official, path, _use_new_zipfile_serialization=False)
    return path


def test_the_oldest_format_is_named_and_the_advice_works(tmp_path, old, tiny, cache):
    with pytest.raises(CheckpointMismatch, match=r"before PyTorch 1\.6") as failure:
        load_backbone(old, CPU, torch.float32, sizes=tiny, cache=cache)
    code = str(failure.value).partition("in Python: ")[2].rstrip(".")
    code = code.replace("OLD", str(old)).replace("NEW.pt", str(tmp_path / "new.pt"))
    subprocess.run([sys.executable, "-c", f"import torch; {code}"], check=True)
    backbone = load_backbone(tmp_path / "new.pt", CPU, torch.float32, sizes=tiny, cache=cache)
    assert backbone.name == "wan2.1"


def test_old_files_of_latents_are_named_too(tmp_path):
    torch.save(torch.randn(1, 16, 3, 4, 4), tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"before PyTorch 1\.6"):
        recognise_latents(tmp_path / "a.pt")
