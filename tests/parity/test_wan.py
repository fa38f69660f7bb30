"""The Wan backbone gives the numbers of the published code (recorded: ../shared/golden/wan)."""

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

from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig

PROJECT = Path(__file__).resolve().parents[2]
GOLDEN = Path(os.environ.get("REFVID_SHARED", PROJECT.parent / "shared")) / "golden"
LATENTS_WITH_CONTEXT = 100
"""The published code starts anew after so many, ours carries on: compared up to here."""

CASES = [
    "enc_1", "enc_5", "enc_17", "enc_5_64x96", "dec_ref_1", "dec_ref_5", "dec_ref_17",
    "dec_ref_5_64x96", "dec_ref_5_40x72", "dec_none_5", "dec_skip_5", "e2e_5_ref2",
]  # fmt: skip
TINY_CASES = [*CASES, "dec_ref_5_batch2", "dec_ref_409_16x16_long"]

pytestmark = pytest.mark.skipif(
    not (GOLDEN / "wan" / "golden.json").is_file(),
    reason="the recorded outputs of the reference implementation are not beside the project",
)


@cache
def recorded(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / "wan" / f"{name}.safetensors")


@cache
def golden() -> dict[str, Any]:
    result: dict[str, Any] = json.loads((GOLDEN / "wan" / "golden.json").read_text())
    return result


def wan_config(kind: str) -> WanConfig:
    sizes = golden()["configs"][kind]["config"]
    transformer = sizes["transformer"]
    config = WanConfig(
        base_channels=sizes["base_dim"],
        latent_channels=sizes["z_dim"],
        channel_multipliers=tuple(sizes["dim_mult"]),
        residual_blocks=sizes["num_res_blocks"],
        temporal_downsampling=tuple(sizes["temperal_downsample"]),
        transformer_blocks=transformer["num_layers"],
        heads=transformer["num_heads"],
        head_channels=transformer["head_dim"],
        feed_forward_channels=transformer["ffn_dim"],
    )
    assert [channels for channels, _ in config.stages] == transformer["channels"]
    return config


@cache
def load(kind: str) -> WanAutoencoder:
    with torch.device("meta"):
        model = WanAutoencoder(wan_config(kind))
    expected = {
        key: tuple(entry["shape"])
        for key, entry in golden()["configs"][kind]["keys"].items()
        if key.startswith(("ae.", "transformer."))
    }
    assert {key: tuple(value.shape) for key, value in model.state_dict().items()} == expected
    if kind == "tiny":
        weights = recorded("tiny_weights")
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
def compute(model: WanAutoencoder, case: dict[str, Any]) -> dict[str, Tensor]:
    """Our outputs of a case, by the recorded outputs' names."""
    names = case["output_keys"]
    latents = given(case["latent"]) if "latent" in case else None
    reference = given(case["reference"]) if case["op"] == "decode" and case["reference"] else None
    if "video" in case:
        video = given(case["video"])
        clip = video[:, :, slice(*case.get("video_frames", (None,)))]
        posterior, _ = model.encode(clip)
        if case["op"] == "encode":
            return {names["mean"]: posterior.mean, names["logvar"]: posterior.log_variance}
        latents, reference = posterior.mean, video[:, :, 2:3]
    assert latents is not None
    embedded = None if reference is None else model.embed_reference(reference[:, :, 0])
    clip, _ = model.decode(
        latents[:, :, :LATENTS_WITH_CONTEXT], embedded, attention=not case.get("skip", False)
    )
    if "stored_output_frames" in case:
        clip = clip[:, :, [i for i in case["stored_output_frames"] if i < clip.shape[2]]]
    return {names["out"]: clip}


def check(kind: str, name: str) -> None:
    ours = compute(load(kind), golden()["configs"][kind]["cases"][name])
    tolerance = golden()["tolerance"]["recommended"][kind]
    for key, value in ours.items():
        theirs = recorded(f"{kind}_outputs")[key][:, :, : value.shape[2]]
        difference = (value - theirs).abs()
        assert difference.max() <= tolerance["max_abs"], key
        assert difference.mean() <= tolerance["mean_abs"], key


def test_every_recorded_case_is_compared():
    configs = golden()["configs"]
    assert sorted(configs["tiny"]["cases"]) == sorted(TINY_CASES)
    assert sorted(configs["full"]["cases"]) == sorted(CASES)


@pytest.mark.parametrize("name", TINY_CASES)
def test_the_reduced_network_gives_the_recorded_numbers(name: str):
    check("tiny", name)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_full_network_gives_the_recorded_numbers(name: str):
    check("full", name)


def test_the_published_sizes_are_the_defaults():
    assert wan_config("full") == WanConfig()
    assert list(WanConfig().latents_mean) == golden()["latents_mean"]
    assert list(WanConfig().latents_std) == golden()["latents_std"]


@torch.inference_mode()
def test_sixteen_bit_weights_compute_in_full_precision():
    # The recorded tiny weights are exact in float16.
    with torch.device("meta"):
        model = WanAutoencoder(wan_config("tiny"))
    halves = {key: value.half() for key, value in recorded("tiny_weights").items()}
    model.load_state_dict(halves, assign=True)
    case = golden()["configs"]["tiny"]["cases"]["e2e_5_ref2"]
    ours = compute(model, case)["e2e_5_ref2.out"]
    torch.testing.assert_close(ours, recorded("tiny_outputs")["e2e_5_ref2.out"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("attention", [True, False])
def test_carried_state_leaves_no_jump_at_chunk_boundaries(attention: bool):
    """Differences across a boundary against those inside; and how far from the whole clip."""
    carry = WanBackbone(load("tiny"), torch.device("cpu"), torch.float32, attention=attention)
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    frames = [
        torch.stack([torch.sin(0.1 * (c + 1) * (rows + columns + 0.2 * t)) for c in range(3)])
        for t in range(65)
    ]
    latents = carry.encode(torch.stack(frames, 1)[None]).latents
    reference = carry.prepare_reference(frames[0][None])
    state, parts = None, []
    for part in latents.split([5, 4, 4, 4], 2):
        decoded = carry.decode(part, reference, state)
        state = decoded.state
        parts.append(decoded.clip)
    clip = torch.cat(parts, 2)
    steps = clip.diff(dim=2).abs().mean((0, 1, 3, 4))
    across = steps[[16, 32, 48]].mean()
    # Other steps from one latent frame to the next; the first ones see the clip begin.
    inside = steps[[k for k in range(8, 64, 4) if k not in (16, 32, 48)]].mean()
    assert across < 1.15 * inside
    if not attention:
        whole = carry.decode(latents).clip
        torch.testing.assert_close(clip, whole, atol=1e-5, rtol=0)
