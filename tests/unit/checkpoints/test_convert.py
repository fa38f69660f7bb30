"""Official files in every layout, and files that are none."""

import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from refvid.checkpoints import convert
from refvid.checkpoints.cache import Cache
from refvid.checkpoints.convert import NetworkKeys, detect_kind, ready_weights
from refvid.checkpoints.load import identify, load_backbone, load_published_network
from refvid.errors import CheckpointMismatch, CheckpointUnavailable
from refvid.models.registry import find_backbone

CPU = torch.device("cpu")
WRAPPINGS = ("model_plain", "model_state_dict", "model_module_prefixed", "model_vae_prefix")
CONVERT = """
import os, sys, time
from pathlib import Path
from refvid.checkpoints import convert
from refvid.checkpoints.cache import Cache
from refvid.checkpoints.load import load_published_network
from refvid.models.registry import WAN, find_backbone
from refvid.models.wan.config import WanConfig
config = WanConfig(
    base_channels=4, transformer_blocks=2, heads=2, head_channels=20, feed_forward_channels=96
)
write = convert.save_file
def slow(weights, path, metadata):
    print("writing", flush=True)
    sys.stdin.readline()
    write(weights, path, metadata=metadata)
    if "half" in sys.argv:
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size // 2)
        os._exit(9)
convert.save_file = slow
print("ready", flush=True)
cache = Cache(Path(sys.argv[2]))
load_published_network(find_backbone(WAN), Path(sys.argv[1]), config, cache=cache)
print("done", flush=True)
"""


@pytest.fixture
def keys(official) -> NetworkKeys:
    shapes = {key: tuple(tensor.shape) for key, tensor in official.items()}
    return NetworkKeys(backbone="wan2.1", shapes=shapes, blocks=2)


@pytest.fixture
def source(tmp_path: Path, official) -> Path:
    path = tmp_path / "model.pt"
    torch.save(official, path)
    return path


def conversions(cache: Cache) -> list[str]:
    folder = cache.folder / "converted"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 1, "callbacks": {"a": None}},
        lambda state: {"module": {f"_forward_module.{key}": v for key, v in state.items()}},
        lambda state: {key.replace("ae.", "vae.", 1): v for key, v in state.items()},
        lambda state: {key.replace("ae.", "ae._orig_mod.", 1): v for key, v in state.items()},
        lambda state: {**state, "loss.logvar": torch.zeros(1), "loss_fn.lin0.w": torch.ones(2)},
    ],
)
def test_layouts(tmp_path: Path, official, keys, cache, wrap) -> None:
    source = tmp_path / "downloaded by hand.ckpt"
    torch.save(wrap(official), source)
    ready = ready_weights(source, keys, cache)
    found = load_file(ready)
    assert found.keys() == official.keys()
    assert all(torch.equal(found[key], official[key]) for key in official)
    assert all(tensor.dtype == torch.float16 for tensor in found.values())
    assert identify(ready) == "wan2.1"


@pytest.mark.parametrize("name", WRAPPINGS)
def test_recorded_layouts(shared: Path, tiny, cache, name: str) -> None:
    folder = shared / "golden" / "wan"
    if not folder.is_dir():
        pytest.skip("no recordings of the published code here")
    expected = load_file(folder / "tiny_weights.safetensors")
    spec = find_backbone("wan2.1")
    assert spec is not None
    network = load_published_network(spec, folder / f"{name}.pt", tiny, cache=cache)
    state = network.state_dict()
    assert {key for key in expected if not key.startswith("loss")} == state.keys()
    assert all(torch.equal(state[key].float(), expected[key]) for key in state)
    assert not any(tensor.is_meta for tensor in state.values())


def test_a_second_start_reads_neither_source_nor_its_hash(
    source: Path, keys, cache, monkeypatch
) -> None:
    ready = ready_weights(source, keys, cache)
    monkeypatch.setattr(convert, "read_official", None)
    monkeypatch.setattr("refvid.checkpoints.cache.hash_file", None)
    assert ready_weights(source, keys, cache) == ready
    assert ready_weights(ready, keys, cache) == ready  # it may be passed by hand as well


def test_a_changed_source_is_converted_again(tmp_path, source: Path, official, keys, cache) -> None:
    first = ready_weights(source, keys, cache)
    torch.save({key: tensor + 1 for key, tensor in official.items()}, source)
    second = ready_weights(source, keys, cache)
    assert first != second
    assert len([name for name in conversions(cache) if name.endswith(".safetensors")]) == 2


def test_safetensors_under_official_names(tmp_path: Path, official, keys, cache) -> None:
    path = tmp_path / "a.pt"  # contents count, names do not
    save_file({f"_forward_module.{key}": tensor for key, tensor in official.items()}, path)
    assert identify(path) == "wan2.1"
    assert load_file(ready_weights(path, keys, cache)).keys() == official.keys()
    save_file(official, path)
    assert ready_weights(path, keys, cache) == path


def test_a_backbone_from_the_file_alone(source: Path, tiny, cache) -> None:
    backbone = load_backbone(source, CPU, torch.float32, cache=cache, sizes=tiny)
    assert backbone.name == "wan2.1"
    encoded = backbone.encode(torch.zeros(1, 3, 1, 16, 16))
    assert encoded.latents.shape == (1, 16, 1, 2, 2)


def refuse(source: Path, keys: NetworkKeys, cache: Cache, *words: str) -> str:
    with pytest.raises(CheckpointMismatch) as caught:
        ready_weights(source, keys, cache)
    message = str(caught.value)
    for word in (str(source), *words):
        assert word in message
    assert not [name for name in conversions(cache) if name.endswith((".safetensors", ".partial"))]
    return message


def test_keys_that_do_not_fit(tmp_path: Path, official, keys, cache) -> None:
    path = tmp_path / "a.pt"
    first, second, *_ = official
    torch.save({key: tensor for key, tensor in official.items() if key != first}, path)
    refuse(path, keys, cache, f"1 missing ({first})")
    torch.save({**official, "ae.extra": torch.zeros(1), "more": torch.zeros(1)}, path)
    refuse(path, keys, cache, "2 unexpected (ae.extra, more)")
    torch.save({**official, second: torch.zeros(3, 2)}, path)
    refuse(path, keys, cache, f"of another shape ({second} (3, 2) instead of")
    torch.save({**official, "vae." + first.removeprefix("ae."): torch.zeros(1)}, path)
    refuse(path, keys, cache, "more than once")
    torch.save({**official, "ae.number": 3}, path)
    refuse(path, keys, cache, "no weights: ae.number")
    torch.save({**official, first: official[first].int()}, path)
    refuse(path, keys, cache, "not floating-point")
    torch.save([1, 2], path)
    refuse(path, keys, cache, "list")
    torch.save({"something": {"else": torch.zeros(1)}}, path)
    refuse(path, keys, cache, "no weights: something")


def test_another_number_of_blocks(tmp_path: Path, official, keys, cache) -> None:
    path = tmp_path / "a.pt"
    more = {
        key.replace(".blocks.1.", ".blocks.29."): tensor
        for key, tensor in official.items()
        if ".blocks.1." in key
    }
    torch.save(official | more, path)
    refuse(path, keys, cache, "30 blocks", "has 2")
    torch.save({key: v for key, v in official.items() if ".blocks.1." not in key}, path)
    refuse(path, keys, cache, "1 blocks", "has 2")


class RunsCode:
    """Makes a file when it is unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))


def rewrite(source: Path, compression: int = zipfile.ZIP_STORED, pickled: bytes = b"") -> None:
    """Write a file of torch.save again, compressed or with another pickle in it."""
    with zipfile.ZipFile(source) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(source, "w", compression) as archive:
        for name, content in entries.items():
            is_pickle = name.endswith("data.pkl")
            archive.writestr(name, pickled if pickled and is_pickle else content)


def test_pickles_that_run_code(tmp_path: Path, official, keys, cache) -> None:
    trap = tmp_path / "code_ran"
    path = tmp_path / "hostile.pt"
    torch.save({**official, "ae.extra": RunsCode(trap)}, path)
    refuse(path, keys, cache, "more than weights", "does not run code")
    torch.save(official, path)
    rewrite(path, pickled=pickle.dumps(RunsCode(trap), protocol=2))
    message = refuse(path, keys, cache, "more than weights")
    assert "weights_only" not in message  # torch's advice would be to run it
    path.write_bytes(pickle.dumps(RunsCode(trap)))
    refuse(path, keys, cache, "bare pickle")
    torch.save(official, path, _use_new_zipfile_serialization=False)
    refuse(path, keys, cache)
    assert not trap.exists()


def test_archives_that_unpack_to_more(tmp_path: Path, source: Path, keys, cache) -> None:
    rewrite(source, compression=zipfile.ZIP_DEFLATED)
    refuse(source, keys, cache, "compressed inside")


def test_tensors_of_gigabytes_without_contents(tmp_path: Path, official, keys, cache) -> None:
    first = next(iter(official))
    path = tmp_path / "a.pt"
    # One number in the file, a terabyte if it were ever written out.
    torch.save({**official, first: torch.zeros(1).expand(1 << 38)}, path)
    refuse(path, keys, cache, "of another shape")


def test_damaged_files(tmp_path: Path, source: Path, official, keys, cache) -> None:
    whole = source.read_bytes()
    for length in (5, 100, len(whole) // 2, len(whole) - 30):
        source.write_bytes(whole[:length])
        refuse(source, keys, cache, "Fetch it again")
    save_file(official, source)
    whole = source.read_bytes()
    for content in (whole[: len(whole) // 2], b"\xff" * 7 + b"\x7f" + whole[8:], whole[:9]):
        source.write_bytes(content)
        refuse(source, keys, cache)


def test_damage_in_the_pickle(source: Path, keys, cache) -> None:
    with zipfile.ZipFile(source) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("data.pkl")]
        content = archive.read(name)
    refused = 0
    for position in range(0, len(content), len(content) // 40):
        rewrite(source, pickled=content[:position] + b"\xfe\x00" + content[position + 2 :])
        try:
            ready_weights(source, keys, cache)  # some bytes do not matter
        except CheckpointMismatch:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "fetch it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n", "git lfs pull"),
        (b"<!doctype html><html></html>", "web page"),
        (b"some text that says nothing", "fetch it again"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointMismatch, match=words):
        detect_kind(path)
    with pytest.raises(CheckpointUnavailable):
        detect_kind(tmp_path / "missing.pt")


def test_a_conversion_that_was_damaged_is_made_again(source: Path, keys, cache) -> None:
    ready = ready_weights(source, keys, cache)
    whole = ready.read_bytes()
    ready.write_bytes(whole[: len(whole) // 2])
    again = ready_weights(source, keys, cache)
    assert again == ready
    assert load_file(again).keys() == keys.shapes.keys()


def test_no_room(source: Path, keys, cache, monkeypatch) -> None:
    monkeypatch.setattr(
        "refvid.checkpoints.convert.shutil.disk_usage",
        lambda path: type("Usage", (), {"free": 1000}),
    )
    with pytest.raises(CheckpointUnavailable, match="REFVID_CACHE"):
        ready_weights(source, keys, cache)
    cache = Cache(source)  # a file where a folder should be
    with pytest.raises(CheckpointUnavailable, match="REFVID_CACHE"):
        ready_weights(source, keys, cache)


def start(source: Path, cache: Cache, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CONVERT, str(source), str(cache.folder), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_killed_conversion_leaves_nothing_that_is_used(source: Path, tiny, keys, cache) -> None:
    run = start(source, cache, "half")
    run.communicate("go\n", timeout=60)
    assert run.returncode == 9
    [partial] = [name for name in conversions(cache) if name.endswith(".partial")]
    assert not [name for name in conversions(cache) if name.endswith(".safetensors")]
    ready = ready_weights(source, keys, cache)
    assert not (ready.parent / partial).exists()


def test_two_processes_convert_once(source: Path, cache) -> None:
    first = start(source, cache)
    assert first.stdout is not None
    assert [first.stdout.readline(), first.stdout.readline()] == ["ready\n", "writing\n"]
    second = start(source, cache)
    assert second.stdout is not None
    assert second.stdout.readline() == "ready\n"
    first.communicate("go\n", timeout=60)
    out, _ = second.communicate("go\n", timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    assert out == "done\n"  # it wrote nothing
