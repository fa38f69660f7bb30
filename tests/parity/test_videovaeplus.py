"""The VideoVAE+ backbone gives the published code's numbers (../shared/golden/videovaeplus)."""

from __future__ import annotations

import importlib.util
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from refvid.models.videovaeplus.autoencoder import VideoVaePlusAutoencoder
from refvid.models.videovaeplus.config import VideoVaePlusConfig

PROJECT = Path(__file__).resolve().parents[2]
GOLDEN = Path(os.environ.get("REFVID_SHARED", PROJECT.parent / "shared")) / "golden"

FULL_CASES = ["enc_4", "enc_8", "dec_ref_4", "dec_ref_8", "dec_ref_4_40x72"]
CASES = [
    *FULL_CASES, "enc_6", "enc_16", "dec_ref_16", "dec_ref_4_48x80", "dec_ref_4_batch2",
    "e2e_4_ref1",
]  # fmt: skip

pytestmark = pytest.mark.skipif(
    not (GOLDEN / "videovaeplus" / "golden.json").is_file(),
    reason="the recorded outputs of the reference implementation are not beside the project",
)


@cache
def recorded(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / "videovaeplus" / f"{name}.safetensors")


@cache
def golden() -> dict[str, Any]:
    result: dict[str, Any] = json.loads((GOLDEN / "videovaeplus" / "golden.json").read_text())
    return result


def make_config(kind: str) -> VideoVaePlusConfig:
    sizes = golden()["configs"][kind]["config"]
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
def load(kind: str) -> VideoVaePlusAutoencoder:
    with torch.device("meta"):
        model = VideoVaePlusAutoencoder(make_config(kind))
    expected = {
        key: tuple(entry["shape"]) for key, entry in golden()["configs"][kind]["keys"].items()
    }
    assert {key: tuple(value.shape) for key, value in model.state_dict().items()} == expected
    if kind == "micro":
        weights = recorded("micro_weights")
    else:
        weight = weight_recipe()
        weights = {key: torch.from_numpy(weight(key, shape)) for key, shape in expected.items()}
    model.load_state_dict(weights, assign=True, strict=True)
    return model.eval().requires_grad_(False)


def weight_recipe() -> Any:
    spec = importlib.util.spec_from_file_location("recipe", GOLDEN / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    return recipe.weight


def given(name: str) -> Tensor:
    return recorded("inputs")[name].float()


@torch.inference_mode()
def compute(model: VideoVaePlusAutoencoder, case: dict[str, Any]) -> dict[str, Tensor]:
    """Our outputs of a case, by the recorded outputs' names."""
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


def check(kind: str, name: str) -> None:
    ours = compute(load(kind), golden()["configs"][kind]["cases"][name])
    tolerance = golden()["tolerance"]["recommended"]
    for key, value in ours.items():
        theirs = recorded(f"{kind}_outputs")[key]
        assert value.shape == theirs.shape, key
        difference = (value - theirs).abs()
        assert difference.max() <= tolerance["max_abs"], key
        assert difference.mean() <= tolerance["mean_abs"], key


def test_every_recorded_case_is_compared():
    configs = golden()["configs"]
    assert sorted(configs["micro"]["cases"]) == sorted(CASES)
    assert sorted(configs["small"]["cases"]) == sorted(CASES)
    assert sorted(configs["full"]["cases"]) == sorted(FULL_CASES)


@pytest.mark.parametrize("kind", ["micro", "small"])
@pytest.mark.parametrize("name", CASES)
def test_reduced_networks_give_the_recorded_numbers(kind: str, name: str):
    check(kind, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL_CASES)
def test_the_full_network_gives_the_recorded_numbers(name: str):
    check("full", name)


def test_the_published_sizes_are_the_defaults():
    assert make_config("full") == VideoVaePlusConfig()
