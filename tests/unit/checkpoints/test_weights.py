"""Files given by hand, with and without the name of a model."""

from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from refvid.checkpoints.catalog import CATALOG, Catalog, CatalogEntry, bundled_asset
from refvid.checkpoints.checksums import read_checksums
from refvid.checkpoints.convert import read_metadata, read_shapes
from refvid.checkpoints.load import identify, load_backbone
from refvid.errors import CheckpointMismatch, CheckpointUnavailable, OptionError
from refvid.models.registry import bundled_names

CPU = torch.device("cpu")


@pytest.fixture
def load(cache, tiny):
    def load_it(name, weights=None):
        return load_backbone(name, CPU, torch.float32, weights=weights, cache=cache, sizes=tiny)

    return load_it


def test_weights_for_a_name(tmp_path: Path, official, load) -> None:
    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": official}, path)
    assert load("wan2.1", path).name == "wan2.1"
    assert load(path).name == "wan2.1"
    with pytest.raises(CheckpointMismatch, match="no whole safetensors"):
        load("mini", path)
    with pytest.raises(OptionError, match=r"mini, wan2\.1"):
        load(path, path)
    with pytest.raises(CheckpointUnavailable, match="no model"):
        load("wan2.1", tmp_path / "missing.pt")


def test_the_other_models_weights(load) -> None:
    if not bundled_asset("mini").is_file():
        pytest.skip("this tree has no bundled weights")
    path = Path(str(resources.files("refvid.assets") / "mini.safetensors"))
    assert identify(path) == "mini"
    assert load("mini", path).name == "mini"
    with pytest.raises(CheckpointMismatch, match="missing"):
        load("wan2.1", path)


@pytest.mark.parametrize("name", bundled_names())
def test_a_byte_that_changed_in_bundled_weights_is_found(name, tmp_path: Path, load) -> None:
    asset = bundled_asset(name)
    if not asset.is_file():
        pytest.skip("this tree has no bundled weights")
    whole = asset.read_bytes()
    path = tmp_path / "copy.safetensors"
    path.write_bytes(whole)
    assert read_checksums(read_metadata(path)).keys() == read_shapes(path).keys()
    load(path)
    start = 8 + int.from_bytes(whole[:8], "little")
    for place in (start, (start + len(whole)) // 2, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.unlink()  # rather than under the mapping of what was loaded
        path.write_bytes(damaged)
        with pytest.raises(CheckpointMismatch, match="is not what was written"):
            load(path)


def test_a_backbone_of_the_future(tmp_path: Path, load) -> None:
    path = tmp_path / "new.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"backbone": "wan9"})
    with pytest.raises(CheckpointMismatch, match="newer refvid"):
        load(path)


def test_the_published_catalogue() -> None:
    assert CATALOG.names == ("wan2.1", "videovae+", "videovae+base")
    assert CATALOG.models == ("wan2.1", "videovae+")
    assert [entry.name for entry in CATALOG.layers("videovae+")] == ["videovae+base", "videovae+"]
    entry = CATALOG.get("wan2.1")
    assert entry.sha256 is not None
    assert len(entry.sha256) == 64
    assert entry.page.startswith("https://huggingface.co/Arrokothwhi/RefDecoder/blob/77ce6fb/")
    with pytest.raises(CheckpointUnavailable, match=r"wan2\.1"):
        CATALOG.get("wan3")


def test_entries_cannot_leave_their_folder() -> None:
    good: dict[str, Any] = {
        "name": "a",
        "repository": "b/c",
        "path": "d",
        "revision": "0123456",
        "backbone": "wan2.1",
        "licence": "MIT",
    }
    assert "a" in Catalog((CatalogEntry(**good),))
    for field, value in (("name", "../a"), ("path", "../d"), ("revision", "*")):
        with pytest.raises(AssertionError):
            CatalogEntry(**{**good, field: value})
