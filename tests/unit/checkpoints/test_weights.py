"""Files given by hand, with and without the name of a model."""

from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from refvid.checkpoints.catalog import CATALOG, Catalog, CatalogEntry, bundled_asset
from refvid.checkpoints.load import identify, load_backbone
from refvid.errors import CheckpointMismatch, CheckpointUnavailable, OptionError

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
