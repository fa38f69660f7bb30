"""Weights on their way into a network: in the wanted precision, whole, and no more than needed."""

from __future__ import annotations

import gc
import logging
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from refvid.checkpoints import fill
from refvid.checkpoints.bundled import load_own_network
from refvid.checkpoints.checksums import checksum, note_checksums
from refvid.checkpoints.fill import Placement, fill_network
from refvid.checkpoints.load import load_backbone, load_published_network
from refvid.errors import CheckpointMismatch
from refvid.models.registry import find_backbone
from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone

CPU = torch.device("cpu")
FLOAT32_KEYS = ("ae.encoder.", "ae.quant_conv.")


@pytest.fixture
def weights(official) -> dict[str, torch.Tensor]:
    return {key: tensor.float() for key, tensor in official.items()}


@pytest.fixture
def file(tmp_path: Path, weights) -> Path:
    path = tmp_path / "weights.safetensors"
    save_file(weights, path, metadata=note_checksums(weights))
    return path


def empty(tiny) -> WanAutoencoder:
    with torch.device("meta"):
        return WanAutoencoder(tiny)


def test_weights_come_in_the_precision_that_is_computed_in(file, tiny, weights, monkeypatch):
    monkeypatch.setattr(fill, "_BATCH_VALUES", 1000)
    network = empty(tiny)
    fill_network(network, file, Placement(CPU, torch.bfloat16, FLOAT32_KEYS))
    state = network.state_dict()
    assert state.keys() == weights.keys()
    for key, tensor in state.items():
        wanted = torch.float32 if key.startswith(FLOAT32_KEYS) else torch.bfloat16
        assert tensor.dtype == wanted
        assert torch.equal(tensor, weights[key].to(wanted))


def test_smaller_weights_stay_small(tmp_path, official, tiny):
    path = tmp_path / "half.safetensors"
    save_file(official, path)
    network = empty(tiny)
    fill_network(network, path, Placement(CPU, torch.float32))
    assert {tensor.dtype for tensor in network.state_dict().values()} == {torch.float16}


def mappings(path: Path) -> int:
    """Bytes of a file that this process has in memory."""
    resident, counts = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            counts = line.endswith(str(path))
        elif counts and line.startswith("Rss:"):
            resident += int(line.split()[1]) * 1024
    return resident


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux tells what is mapped")
def test_the_file_is_not_kept_in_memory_beside_its_conversion(tmp_path, monkeypatch):
    monkeypatch.setattr(fill, "_BATCH_VALUES", 100_000)
    network = torch.nn.Sequential(*(torch.nn.Linear(300, 300) for _ in range(8)))
    weights = network.state_dict()
    path = tmp_path / "weights.safetensors"
    save_file(weights, path)
    peak = 0
    read = fill._read

    def watched(*given):
        nonlocal peak
        found = read(*given)
        peak = max(peak, mappings(path))
        return found

    monkeypatch.setattr(fill, "_read", watched)
    with torch.device("meta"):
        made = torch.nn.Sequential(*(torch.nn.Linear(300, 300) for _ in range(8)))
    fill_network(made, path, Placement(CPU, torch.bfloat16))
    gc.collect()
    assert mappings(path) == 0
    assert 0 < peak < path.stat().st_size / 2


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux tells what is mapped")
@pytest.mark.parametrize("placement", [None, Placement(CPU, torch.float32)])
def test_what_stays_in_the_file_comes_into_memory_when_it_is_used(tmp_path, monkeypatch, placement):
    """Every weight is read to be checked; the encoder's would stay in memory for nothing."""
    monkeypatch.setattr(fill, "_BATCH_VALUES", 1_000_000)
    network = torch.nn.Sequential(*(torch.nn.Linear(900, 900) for _ in range(8)))
    weights = network.state_dict()
    path = tmp_path / "weights.safetensors"
    save_file(weights, path, metadata=note_checksums(weights))
    size = path.stat().st_size
    with torch.device("meta"):
        made = torch.nn.Sequential(*(torch.nn.Linear(900, 900) for _ in range(8)))
    fill_network(made, path, placement)
    gc.collect()
    assert mappings(path) < size / 4
    assert all(torch.equal(value, weights[key]) for key, value in made.state_dict().items())
    assert mappings(path) > size / 2, "what stays as it is, is mapped"


def test_the_plain_decoder_leaves_the_attention_on_the_disk(file, tiny, cache):
    spec = find_backbone("wan2.1")
    assert spec is not None
    parts = spec.parts()
    network = load_published_network(
        spec,
        file,
        tiny,
        cache=cache,
        leave_out=parts.attention_keys,
        placement=Placement(CPU, torch.float32),
    )
    assert isinstance(network, WanAutoencoder)
    assert all(tensor.is_meta for tensor in network.transformer.state_dict().values())
    whole = load_published_network(spec, file, tiny, cache=cache)
    latents = torch.randn(1, 16, 2, 2, 3)
    plain = WanBackbone(network, CPU, torch.float32, attention=False)
    expected = WanBackbone(whole, CPU, torch.float32).plain()  # type: ignore[arg-type]
    assert torch.equal(plain.decode(latents).clip, expected.decode(latents).clip)


def test_attention_can_be_left_out_by_name(file, tiny, cache):
    backbone = load_backbone(file, CPU, torch.float32, sizes=tiny, cache=cache, attention=False)
    assert isinstance(backbone, WanBackbone)
    assert not backbone.attention
    assert backbone.plain() is not None
    mini = load_backbone("mini", CPU, torch.float32, cache=cache, attention=False)
    assert mini.name == "mini", "which has no plain decoder"


def flip(path: Path, key: str) -> None:
    """Change one bit of a weight."""
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].decode()
    found = re.search(re.escape(f'"{key}":') + r'\{[^}]*"data_offsets":\[(\d+),', header)
    assert found
    data[8 + length + int(found[1]) + 1] ^= 0x10
    path.write_bytes(data)


def test_a_flipped_bit_is_found(file, tiny):
    for key in ("ae.decoder.conv_in.weight", "ae.encoder.conv_in.weight"):
        flip(file, key)
        for dtype in (torch.float32, torch.bfloat16):
            with pytest.raises(CheckpointMismatch, match=re.escape(key)):
                fill_network(empty(tiny), file, Placement(CPU, dtype))
        flip(file, key)
    fill_network(empty(tiny), file)


def test_a_damaged_conversion_is_made_again(tmp_path, official, tiny, cache, caplog):
    source = tmp_path / "model.pt"
    torch.save(official, source)
    spec = find_backbone("wan2.1")
    assert spec is not None
    load_published_network(spec, source, tiny, cache=cache)
    (converted,) = (cache.folder / "converted").glob("*.safetensors")
    flip(converted, "ae.decoder.conv_in.weight")
    with caplog.at_level(logging.WARNING):
        network = load_published_network(spec, source, tiny, cache=cache)
    assert "is made again" in caplog.text
    state = network.state_dict()
    assert all(torch.equal(state[key], official[key]) for key in official)
    caplog.clear()
    load_published_network(spec, source, tiny, cache=cache)
    assert not caplog.records


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_where_nothing_was_noted(
    tmp_path, weights, tiny, value
):
    weights["ae.decoder.conv_in.weight"][0, 0] = value
    path = tmp_path / "bad.safetensors"
    save_file(weights, path)
    with pytest.raises(CheckpointMismatch, match="NaN or infinity"):
        fill_network(empty(tiny), path)


def test_large_weights_are_numbers(tmp_path, weights, tiny):
    weights["ae.decoder.conv_in.weight"][:] = 3e38
    path = tmp_path / "large.safetensors"
    save_file(weights, path)
    fill_network(empty(tiny), path)


def test_own_files_are_checked_too(tmp_path):
    spec = find_backbone("mini")
    assert spec is not None
    import refvid.assets

    bundled = Path(next(iter(refvid.assets.__path__))) / "mini.safetensors"
    with safe_open(bundled, framework="pt") as file:
        metadata = file.metadata()
    weights = load_file(bundled)
    path = tmp_path / "mine.safetensors"
    save_file(weights, path, metadata={**metadata, **note_checksums(weights)})
    load_own_network(path, spec.parts())
    flip(path, next(iter(weights)))
    with pytest.raises(CheckpointMismatch, match="not what was written"):
        load_own_network(path, spec.parts())


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.uint8]
)
def test_every_bit_counts(dtype):
    tensor = torch.arange(60).to(dtype).reshape(3, 20)
    known = checksum(tensor)
    data = tensor.view(torch.uint8)
    for place in range(data.shape[1]):
        data[1, place] ^= 1 << place % 8
        assert checksum(tensor) != known
        data[1, place] ^= 1 << place % 8
    assert checksum(tensor) == known


def test_own_files_that_hold_no_numbers_are_refused_whatever_was_noted(tmp_path):
    spec = find_backbone("mini")
    assert spec is not None
    import refvid.assets

    bundled = Path(next(iter(refvid.assets.__path__))) / "mini.safetensors"
    with safe_open(bundled, framework="pt") as file:
        metadata = file.metadata()
    weights = load_file(bundled)
    next(iter(weights.values())).flatten()[0] = float("nan")
    path = tmp_path / "mine.safetensors"
    save_file(weights, path, metadata={**metadata, **note_checksums(weights)})
    with pytest.raises(CheckpointMismatch, match="NaN or infinity"):
        load_own_network(path, spec.parts())
