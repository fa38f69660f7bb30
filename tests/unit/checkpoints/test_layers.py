"""Weights that lie on top of others: the base first, then RefDecoder's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from refvid.checkpoints.cache import join_sha256
from refvid.checkpoints.catalog import Catalog, CatalogEntry
from refvid.checkpoints.licence import check_licence
from refvid.checkpoints.load import identify, load_backbone, load_published_network
from refvid.checkpoints.manage import download_model
from refvid.errors import CheckpointMismatch, LicenceNotAccepted, OptionError
from refvid.models.registry import backbones
from refvid.models.videovaeplus.autoencoder import VideoVaePlusAutoencoder
from refvid.models.videovaeplus.config import VideoVaePlusConfig

SPEC = next(spec for spec in backbones() if spec.name == "videovae+")
TINY = VideoVaePlusConfig(
    base_channels=2,
    temporal_channels=2,
    norm_groups=2,
    transformer_blocks=2,
    heads=1,
    head_channels=8,
    feed_forward_channels=8,
)
OWN = ("transformer.", "ref_conv_in.", "decoder.pre_transformer_norms")
"""What RefDecoder adds to VideoVAE+."""


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return dict(VideoVaePlusAutoencoder(TINY).state_dict())


@pytest.fixture
def base(tmp_path: Path, weights) -> Path:
    path = tmp_path / "base.ckpt"
    below = {key: value + 1 for key, value in weights.items() if not key.startswith(OWN)}
    loss = {"loss.logvar": torch.zeros(1), "loss.perceptual_loss.lin0.weight": torch.zeros(1)}
    torch.save({"state_dict": {**below, **loss}, "epoch": 3}, path)
    return path


@pytest.fixture
def on_top(tmp_path: Path, weights) -> Path:
    """RefDecoder's file with a trained decoder, but without the encoders."""
    path = tmp_path / "ref.pt"
    own = {key: value for key, value in weights.items() if not key.startswith("encoder")}
    torch.save({"module": {f"_forward_module.{key}": value for key, value in own.items()}}, path)
    return path


def test_the_upper_file_counts(base: Path, on_top: Path, weights, cache) -> None:
    network = load_published_network(SPEC, on_top, TINY, base, cache)
    for key, value in network.state_dict().items():
        expected = weights[key] + 1 if key.startswith("encoder") else weights[key]
        assert torch.equal(value, expected), key
    [converted] = (cache.folder / "converted").glob("*.safetensors")
    assert converted.name.endswith(".videovae+.safetensors")
    assert converted.name.startswith(join_sha256([cache.sha256(base), cache.sha256(on_top)]))
    # The conversion needs nothing under it, and can be given by hand.
    alone = load_published_network(SPEC, converted, TINY, None, cache)
    assert torch.equal(alone.state_dict()["encoder.conv_in.weight"],
                       weights["encoder.conv_in.weight"] + 1)  # fmt: skip


def test_a_whole_file_needs_no_base(tmp_path: Path, weights, cache) -> None:
    path = tmp_path / "whole.pt"
    torch.save(weights, path)
    missing = tmp_path / "never read.ckpt"
    network = load_published_network(SPEC, path, TINY, missing, cache)
    assert torch.equal(network.state_dict()["encoder.conv_in.weight"],
                       weights["encoder.conv_in.weight"])  # fmt: skip


def test_what_is_missing_after_both(tmp_path: Path, base: Path, weights, cache) -> None:
    own = {key: value for key, value in weights.items() if key.startswith(OWN)}
    del own["ref_conv_in.proj.bias"]
    path = tmp_path / "ref.pt"
    torch.save(own, path)
    with pytest.raises(CheckpointMismatch, match=r"1 missing \(ref_conv_in\.proj\.bias\)") as error:
        load_published_network(SPEC, path, TINY, base, cache)
    assert "ref.pt" in str(error.value)
    assert "base.ckpt" in str(error.value)


def test_what_no_network_knows(tmp_path: Path, base: Path, weights, cache) -> None:
    own = {key: value for key, value in weights.items() if key.startswith(OWN)}
    path = tmp_path / "ref.pt"
    torch.save({**own, "decoder.surprise.weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointMismatch, match="surprise"):
        load_published_network(SPEC, path, TINY, base, cache)


def test_contents_tell_the_backbone(tmp_path: Path, base: Path, on_top: Path, weights) -> None:
    save_file(weights, tmp_path / "plain.safetensors")
    for path in (base, on_top, tmp_path / "plain.safetensors"):
        assert identify(path) == "videovae+"


def entry(name: str, **changes) -> CatalogEntry:
    values: dict[str, Any] = {
        "name": name,
        "repository": "a/b",
        "path": f"{name}.pt",
        "revision": "0123456",
        "backbone": "videovae+",
        "licence": "CC BY-NC-ND 4.0",
        "needs_acceptance": True,
        "terms": "non-commercial use only",
    }
    return CatalogEntry(**(values | changes))


CATALOG = Catalog((entry("videovae+", base="videovae+base"), entry("videovae+base")))


def test_acceptance_is_remembered_for_both_files(cache) -> None:
    upper, lower = CATALOG
    for each in CATALOG:
        with pytest.raises(LicenceNotAccepted, match="non-commercial use only") as error:
            check_licence(each, cache)
        assert error.value.entry_name == each.name
        assert "--accept-license" in str(error.value)
        assert each.page in str(error.value)
    cache.accept(lower)
    check_licence(upper, cache)
    check_licence(lower, cache)
    other_terms = entry("videovae+", licence="CC BY-NC 4.0")
    with pytest.raises(LicenceNotAccepted):
        check_licence(other_terms, cache)
    check_licence(entry("free", licence="MIT", needs_acceptance=False), cache)


def test_loading_asks_for_the_licence_first(cache) -> None:
    cpu = torch.device("cpu")
    # The file under it comes first; what was asked for is what can be downloaded.
    with pytest.raises(LicenceNotAccepted, match=r"download videovae\+ --accept-license"):
        load_backbone("videovae+", cpu, torch.float32, catalog=CATALOG, cache=cache)
    with pytest.raises(OptionError, match="no model of its own"):
        load_backbone("videovae+base", cpu, torch.float32, catalog=CATALOG, cache=cache)


def test_a_refusal_names_the_model_that_was_asked_for(cache) -> None:
    with pytest.raises(LicenceNotAccepted) as error:
        download_model("videovae+", CATALOG, cache)
    assert error.value.terms.startswith("videovae+ needs videovae+base, which comes under")
    assert "run: refvid models download videovae+ --accept-license" in str(error.value)


def test_a_backbone_from_its_file(tmp_path: Path, weights, cache) -> None:
    path = tmp_path / "whole.pt"
    torch.save(weights, path)
    for name, given in (("videovae+", path), (str(path), None)):
        backbone = load_backbone(
            name, torch.device("cpu"), torch.float32, weights=given, cache=cache,
            sizes=TINY, chunking="independent",
        )  # fmt: skip
        assert backbone.name == "videovae+"
        assert backbone.limits.overlap == 0
