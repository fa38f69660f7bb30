import json
from dataclasses import asdict
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors.torch import save_file

from refvid.checkpoints import bundled
from refvid.checkpoints.catalog import bundled_asset
from refvid.checkpoints.load import load_backbone
from refvid.errors import CheckpointMismatch, CheckpointUnavailable, OptionError
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder

CPU = torch.device("cpu")
SMALL = MiniConfig(width=8, wide=8, depths=(1, 1, 1), condition_width=8, kernels=2)


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in MiniDecoder(SMALL).state_dict().items()}


def save(path: Path, weights: dict[str, torch.Tensor], config: object = None) -> Path:
    text = config if isinstance(config, str) else json.dumps(config or asdict(SMALL))
    save_file(weights, path, metadata={"config": text})
    return path


def load_file(path: Path | str):
    return load_backbone(path, CPU, torch.float32)


def test_a_file_and_its_folder(tmp_path: Path, weights) -> None:
    path = save(tmp_path / "some.safetensors", weights)
    for name in (path, str(path), tmp_path):
        backbone = load_file(name)
        assert backbone.name == "mini"
        key, value = next(iter(weights.items()))
        assert torch.equal(backbone.decoder.state_dict()[key], value)
    save(tmp_path / "other.safetensors", weights)
    with pytest.raises(CheckpointUnavailable, match="2 checkpoints"):
        load_file(tmp_path)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointUnavailable, match=r"no model nothing.*auto, mini"):
        load_file("nothing")
    with pytest.raises(CheckpointUnavailable, match="holds no"):
        load_file(tmp_path)


def test_missing_bundle_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundled, "bundled_asset", lambda name: tmp_path / f"{name}.safetensors")
    for name in ("mini", "mini-style"):
        with pytest.raises(CheckpointUnavailable, match=f"{name} are missing.*reinstall"):
            load_file(name)


def test_bundled_weights_load() -> None:
    if not bundled_asset("mini").is_file():
        pytest.skip("this tree has no bundled weights yet")
    assert load_file("mini").name == "mini"


def test_keys_are_strict(tmp_path: Path, weights) -> None:
    first, second = list(weights)[:2]
    missing = {key: value for key, value in weights.items() if key != first}
    with pytest.raises(CheckpointMismatch, match=f"1 missing .{first}"):
        load_file(save(tmp_path / "a.safetensors", missing))
    with pytest.raises(CheckpointMismatch, match=r"1 unexpected .extra"):
        load_file(save(tmp_path / "b.safetensors", {**weights, "extra": torch.zeros(1)}))
    with pytest.raises(CheckpointMismatch, match=f"another shape .{second}"):
        load_file(save(tmp_path / "c.safetensors", {**weights, second: torch.zeros(3, 2)}))


@pytest.mark.parametrize(
    "config", ["{", "[1]", '{"new_field": 1}', '"text"', '{"depths": 3}', '{"depths": [1, "1", 1]}']
)
def test_configs_that_are_none(tmp_path: Path, weights, config: str) -> None:
    with pytest.raises(CheckpointMismatch):
        load_file(save(tmp_path / "a.safetensors", weights, config))


def test_foreign_files(tmp_path: Path, weights) -> None:
    path = tmp_path / "a.safetensors"
    save_file(weights, path)
    with pytest.raises(CheckpointMismatch, match="metadata"):
        load_file(path)
    whole = save(path, weights).read_bytes()
    for content in (b"", b"text", b"\x80\x02}q\x00." * 50, whole[: len(whole) // 2], whole[:4]):
        path.write_bytes(content)
        with pytest.raises(CheckpointMismatch, match=r"a\.safetensors"):
            load_file(path)


def test_a_style_model(style_weights: Path, tmp_path: Path, weights) -> None:
    for backbone in (
        load_file(style_weights),
        load_backbone("mini-style", CPU, torch.float32, weights=style_weights),
    ):
        assert backbone.name == "mini-style"
        for key, value in safetensors.torch.load_file(style_weights).items():
            assert torch.equal(backbone.decoder.state_dict()[key], value)
    restoring = save(tmp_path / "mini.safetensors", weights)
    with pytest.raises(OptionError, match=r"holds weights of mini, not of mini-style"):
        load_backbone("mini-style", CPU, torch.float32, weights=restoring)
    with pytest.raises(OptionError, match=r"holds weights of mini-style, not of mini\."):
        load_backbone("mini", CPU, torch.float32, weights=style_weights)


def test_style_keys_are_strict_too(style_weights: Path, tmp_path: Path) -> None:
    content = safetensors.torch.load_file(style_weights)
    with safetensors.safe_open(style_weights, framework="pt") as file:
        metadata = file.metadata()

    def load(tensors: dict[str, torch.Tensor], **changes: str) -> None:
        path = tmp_path / "style.safetensors"
        save_file(tensors, path, metadata={**metadata, **changes})
        load_backbone("mini-style", CPU, torch.float32, weights=path)

    load(content)
    with pytest.raises(CheckpointMismatch, match=r"1 unexpected .extra"):
        load({**content, "extra": torch.zeros(1)})
    with pytest.raises(CheckpointMismatch, match="1 missing"):
        load(dict(list(content.items())[1:]))
    with pytest.raises(CheckpointMismatch, match="does not know"):
        load(content, config='{"new_field": 1}')
    with pytest.raises(CheckpointMismatch, match=r"impossible|another shape|does not fit"):
        load(content, config='{"bands": 3}')


@pytest.mark.parametrize("name", ["mini", "mini-style"])
def test_damage_is_named_whatever_it_was(tmp_path: Path, style_weights: Path, name: str) -> None:
    path = tmp_path / "a.safetensors"
    whole = style_weights.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(CheckpointMismatch, match=r"a\.safetensors"):
            load_backbone(name, CPU, torch.float32, weights=path)
