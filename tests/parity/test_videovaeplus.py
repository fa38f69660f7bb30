"""The VideoVAE+ backbone gives the published code's numbers."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from refvid.models.videovaeplus.autoencoder import VideoVaePlusAutoencoder
from refvid.models.videovaeplus.config import VideoVaePlusConfig
from tests.parity.recordings import ALL, OWN, Recordings

FEW, EVERY = Recordings(OWN / "videovaeplus"), Recordings(ALL / "videovaeplus")
FULL_CASES = ["enc_4", "enc_8", "dec_ref_4", "dec_ref_8", "dec_ref_4_40x72"]
CASES = [
    *FULL_CASES, "enc_6", "enc_16", "dec_ref_16", "dec_ref_4_48x80", "dec_ref_4_batch2",
    "e2e_4_ref1",
]  # fmt: skip


def make_config(recordings: Recordings, kind: str) -> VideoVaePlusConfig:
    sizes = recordings.sizes(kind)
    transformer = sizes["transformer"]
    config = VideoVaePlusConfig(
        base_channels=sizes["ch"],
        channel_multipliers=tuple(sizes["ch_mult"]),
        residual_blocks=sizes["num_res_blocks"],
        temporal_channels=sizes["hidden_channel"],
        norm_groups=sizes["group_norm_groups"],
        latent_channels=sizes["z_channels"],
        reference_patch=sizes["ref_patch_size"],
        transformer_blocks=transformer["num_layers"],
        heads=transformer["num_heads"],
        head_channels=transformer["head_dim"],
        feed_forward_channels=transformer["ffn_dim"],
    )
    patches = [patch for _, patch, _ in sizes["transformer_patch_sizes"]]
    assert list(config.stages) == list(zip(transformer["channels"], patches, strict=True))
    assert config.temporal_stride == sizes["temporal_scale_factor"]
    return config


@cache
def load(recordings: Recordings, kind: str) -> VideoVaePlusAutoencoder:
    with torch.device("meta"):
        model = VideoVaePlusAutoencoder(make_config(recordings, kind))
    return recordings.fill(kind, model)


@torch.inference_mode()
def compute(recordings: Recordings, kind: str, name: str) -> dict[str, Tensor]:
    """Our outputs of a case, by the recorded outputs' names."""
    model, given, case = load(recordings, kind), recordings.given, recordings.cases(kind)[name]
    names = case["output_keys"]
    if case["op"] == "decode":
        latents, reference = given(case["latent"]), given(case["reference"])
    else:
        video = given(case["video"])[:, :, slice(*case["video_frames"])]
        posterior = model.encode(video)
        if case["op"] == "encode":
            return {
                names["z"]: posterior.mean,
                names["logvar"]: posterior.log_variance,
                names["spatial_mean"]: posterior.frame_mean,
            }
        assert case["reference"] == "frame 1 of the same video"
        latents, reference = posterior.mean, video[:, :, 1:2]
    embedded = model.embed_reference(reference[:, :, 0])
    return {names["out"]: model.decode(latents, embedded)}


@pytest.mark.parametrize("name", FEW.cases("micro"))
def test_a_small_network_gives_the_recorded_numbers(name: str):
    FEW.compare("micro", compute(FEW, "micro", name))


@EVERY.skip_if_missing
def test_every_recorded_case_is_compared():
    assert sorted(EVERY.cases("micro")) == sorted(CASES)
    assert sorted(EVERY.cases("small")) == sorted(CASES)
    assert sorted(EVERY.cases("full")) == sorted(FULL_CASES)


@EVERY.skip_if_missing
@pytest.mark.parametrize("kind", ["micro", "small"])
@pytest.mark.parametrize("name", CASES)
def test_reduced_networks_give_the_recorded_numbers(kind: str, name: str):
    EVERY.compare(kind, compute(EVERY, kind, name))


@EVERY.skip_if_missing
@pytest.mark.slow
@pytest.mark.parametrize("name", FULL_CASES)
def test_the_full_network_gives_the_recorded_numbers(name: str):
    EVERY.compare("full", compute(EVERY, "full", name))


@EVERY.skip_if_missing
def test_the_published_sizes_are_the_defaults():
    assert make_config(EVERY, "full") == VideoVaePlusConfig()
