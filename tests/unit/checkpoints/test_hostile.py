"""Weights files that ask for more than they hold: refused by name, before anything is built."""

import io
import json
import pickle
import struct
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from refvid import safetensors_file, torch_archive, zip_directory
from refvid.checkpoints import sizes as sizes_module
from refvid.checkpoints.checksums import note_checksums
from refvid.checkpoints.convert import read_weights
from refvid.checkpoints.load import identify, load_backbone
from refvid.errors import CheckpointError, CheckpointMismatch
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder
from refvid.models.videovaeplus.config import VideoVaePlusConfig

CPU = torch.device("cpu")
SMALL = MiniConfig(width=8, wide=8, depths=(1, 1, 1), condition_width=8, kernels=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hostile.bin"


@pytest.fixture
def refused(path, cache):
    """Load a file, expect a failure that names it, and give its words."""

    def load() -> str:
        with pytest.raises(CheckpointMismatch) as raised:
            load_backbone(path, CPU, torch.float32, cache=cache)
        assert str(path) in str(raised.value)
        assert len(str(raised.value)) < 2000
        return str(raised.value)

    return load


def mini_weights() -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in MiniDecoder(SMALL).state_dict().items()}


def with_pickle(data: bytes) -> bytes:
    """A file of torch.save with another pickle."""
    whole, changed = io.BytesIO(), io.BytesIO()
    torch.save({"a": torch.zeros(4)}, whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, data if name.endswith("data.pkl") else old.read(name))
    return changed.getvalue()


def number(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


@pytest.mark.parametrize(
    ("calls", "name"),
    [
        (b"c__builtin__\nbytearray\n", "bytearray"),
        (b"ctorch.storage\nUntypedStorage\n", "UntypedStorage"),
        (b"ctorch\nFloatStorage\n", "FloatStorage"),
    ],
)
@pytest.mark.parametrize("size", [6 * 10**9, 10**12])
def test_a_pickle_that_asks_for_memory(path, refused, calls, name, size):
    path.write_bytes(with_pickle(b"\x80\x02" + calls + number(size) + b"\x85R."))
    assert name in refused()


def test_a_pickle_that_nests_without_end(path, refused):
    tuples = b")" + b"\x85" * 300_000
    for data in (b"}" + tuples + b"K\x01s.", b"]" * 300_000 + b"a" * 299_999 + b"."):
        # As a key, the tuple would end the whole process.
        path.write_bytes(with_pickle(b"\x80\x02" + data))
        assert "no file of torch.save" in refused()


def test_a_pickle_with_too_many_steps(path, refused, monkeypatch):
    monkeypatch.setattr(torch_archive, "_MOST_STEPS", 1000)
    path.write_bytes(with_pickle(b"\x80\x02](" + b"]" * 2000 + b"e."))
    assert "no file of torch.save" in refused()


def test_checkpoints_of_training_programs_are_no_such_files(path):
    network = torch.nn.Sequential(*(torch.nn.Linear(3, 3) for _ in range(20)))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.zeros(1, 3)).sum().backward()
    optimizer.step()
    state = {"state_dict": network.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    torch.save(state, path)
    assert read_weights(path).keys() == network.state_dict().keys()
    for dtype in (torch.bfloat16, torch.uint16, torch.float8_e4m3fn, torch.bool, torch.complex64):
        torch.save({"a": torch.zeros(3).to(dtype)}, path)
        assert read_weights(path)["a"].dtype == dtype


def test_a_zip_directory_beyond_measure(path, refused, monkeypatch):
    torch.save({str(index): torch.zeros(1) for index in range(100)}, path)
    assert len(read_weights(path)) == 100
    monkeypatch.setattr(zip_directory, "_MOST_BYTES", 4000)
    assert "directory" in refused()


def safetensors(header: bytes, claimed: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if claimed is None else claimed) + header


def test_safetensors_headers_beyond_measure(path, refused, monkeypatch):
    path.write_bytes(safetensors(b'{"a": 1}', 2**40))
    assert "claims" in refused()
    entry = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    path.write_bytes(safetensors(json.dumps(dict.fromkeys(map(str, range(500)), entry)).encode()))
    monkeypatch.setattr(safetensors_file, "_MOST_TENSORS", 400)
    assert "500 tensors" in refused()
    monkeypatch.setattr(safetensors_file, "_MOST_HEADER_BYTES", 10_000)
    assert "header has" in refused()


@pytest.mark.parametrize(
    "config",
    [
        '{"width": 100000000}',
        '{"wide": 1e99}',
        '{"depths": [1, 100000000, 1]}',
        json.dumps({"depths": [1] * 400}),
        '{"depths": [[1], 1, 1]}',
        '{"width": -8}',
        '{"kernels": 0}',
        '{"width": true}',
        '{"width": null}',
        '{"width": NaN}',
        f'{{"width": {"9" * 6000}}}',
        '{"width": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "[" * 100_000,
        json.dumps({"x" * 100_000: 1}),
        '{"a": 1' + ", " * 2**20 + "}",
    ],
    ids=lambda text: text[:30],
)
def test_sizes_that_no_network_has(path, refused, config):
    save_file(mini_weights(), path, metadata={"config": config})
    refused()


def test_large_sizes_take_no_memory_before_keys_are_compared(path, refused, monkeypatch):
    config = replace(SMALL, width=4096, wide=6144)
    save_file(mini_weights(), path, metadata={"config": json.dumps(asdict(config))})
    built = []
    original = torch.nn.Conv2d.__init__

    def note(self, *args, **options):
        original(self, *args, **options)
        built.append(self.weight.device.type)

    monkeypatch.setattr(torch.nn.Conv2d, "__init__", note)
    assert "of another shape" in refused()
    assert set(built) == {"meta"}


@pytest.mark.parametrize(
    "text",
    [
        '{"transformer_blocks": 10000000}',
        json.dumps({"channel_multipliers": [1] * 400}),
        '{"heads": 0}',
        '{"norm_groups": 0}',
        '{"channel_multipliers": [1]}',
        '{"temporal_halvings": 60}',
        "[" * 100_000,
        f'{{"heads": {"9" * 6000}}}',
    ],
    ids=lambda text: text[:30],
)
@pytest.mark.parametrize("backbone", ["videovae+", "wan2.1"])
def test_sizes_of_large_backbones(path, refused, text, backbone):
    metadata = {"backbone": backbone, "network": text}
    save_file({"decoder.conv_in.weight": torch.zeros(1)}, path, metadata=metadata)
    refused()


def test_every_published_size_is_possible(path):
    for kind in (VideoVaePlusConfig, MiniConfig):
        assert sizes_module.parse_sizes(path, json.dumps(asdict(kind())), kind) == kind()


def test_weights_that_are_no_numbers(path, refused):
    for bad in (float("nan"), float("inf"), -float("inf")):
        weights = mini_weights()
        key = next(key for key, value in weights.items() if value.numel() > 3)
        weights[key].view(-1)[3] = bad
        for sums in ({}, note_checksums(weights)):
            save_file(weights, path, metadata={"config": json.dumps(asdict(SMALL)), **sums})
            words = refused()
            assert "NaN or infinity" in words
            assert key in words


def test_published_weights_that_are_no_numbers(path, tiny, official, cache):
    key = next(iter(official))
    torch.save({**official, key: torch.full_like(official[key], torch.nan)}, path)
    with pytest.raises(CheckpointMismatch, match="NaN or infinity"):
        load_backbone("wan2.1", CPU, torch.float32, weights=path, sizes=tiny, cache=cache)


def test_large_numbers_are_numbers(path):
    weights = mini_weights()
    key = next(key for key, value in weights.items() if value.numel() > 3)
    weights[key][:] = 3e38  # their sum is infinite
    save_file(weights, path, metadata={"config": json.dumps(asdict(SMALL))})
    load_backbone(path, CPU, torch.float32)


def test_names_of_hostile_files_are_found_or_refused(path):
    for content in (b"\x80\x02.", b"PK\x03\x04" + bytes(40), safetensors(b"{" * 1000)):
        path.write_bytes(content)
        try:
            assert isinstance(identify(path), str)
        except CheckpointError as error:
            assert str(path) in str(error)  # noqa: PT017 - it may also be found
