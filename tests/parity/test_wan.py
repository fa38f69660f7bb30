"""The Wan backbone gives the numbers of the published code."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig
from tests.parity.recordings import ALL, OWN, Recordings

FEW, EVERY = Recordings(OWN / "wan"), Recordings(ALL / "wan")
LATENTS_WITH_CONTEXT = 100
"""The published code starts anew after so many, ours carries on: compared up to here."""

CASES = [
    "enc_1", "enc_5", "enc_17", "enc_5_64x96", "dec_ref_1", "dec_ref_5", "dec_ref_17",
    "dec_ref_5_64x96", "dec_ref_5_40x72", "dec_none_5", "dec_skip_5", "e2e_5_ref2",
]  # fmt: skip
TINY_CASES = [*CASES, "dec_ref_5_batch2", "dec_ref_409_16x16_long"]


def wan_config(recordings: Recordings, kind: str) -> WanConfig:
    sizes = recordings.sizes(kind)
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
def load(recordings: Recordings, kind: str) -> WanAutoencoder:
    with torch.device("meta"):
        model = WanAutoencoder(wan_config(recordings, kind))
    return recordings.fill(kind, model, ("ae.", "transformer."))


@torch.inference_mode()
def compute(
    recordings: Recordings, kind: str, name: str, model: WanAutoencoder | None = None
) -> dict[str, Tensor]:
    """Our outputs of a case, by the recorded outputs' names."""
    model = model or load(recordings, kind)
    given, case = recordings.given, recordings.cases(kind)[name]
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


def check(recordings: Recordings, kind: str, name: str) -> None:
    ours = compute(recordings, kind, name)
    is_cut = name.endswith("_long")
    frames = next(iter(ours.values())).shape[2] if is_cut else None
    recordings.compare(kind, ours, frames=frames)


@pytest.mark.parametrize("name", FEW.cases("tiny"))
def test_a_small_network_gives_the_recorded_numbers(name: str):
    check(FEW, "tiny", name)


@EVERY.skip_if_missing
def test_every_recorded_case_is_compared():
    assert sorted(EVERY.cases("tiny")) == sorted(TINY_CASES)
    assert sorted(EVERY.cases("full")) == sorted(CASES)


@EVERY.skip_if_missing
@pytest.mark.parametrize("name", TINY_CASES)
def test_the_reduced_network_gives_the_recorded_numbers(name: str):
    check(EVERY, "tiny", name)


@EVERY.skip_if_missing
@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_full_network_gives_the_recorded_numbers(name: str):
    check(EVERY, "full", name)


@EVERY.skip_if_missing
def test_the_published_sizes_are_the_defaults():
    assert wan_config(EVERY, "full") == WanConfig()
    assert list(WanConfig().latents_mean) == EVERY.golden["latents_mean"]
    assert list(WanConfig().latents_std) == EVERY.golden["latents_std"]


@torch.inference_mode()
def test_sixteen_bit_weights_compute_in_full_precision():
    # The recorded tiny weights are exact in float16.
    with torch.device("meta"):
        model = WanAutoencoder(wan_config(FEW, "tiny"))
    halves = {key: value.half() for key, value in FEW.tensors("tiny_weights").items()}
    model.load_state_dict(halves, assign=True)
    ours = compute(FEW, "tiny", "e2e_5_ref2", model)["e2e_5_ref2.out"]
    theirs = FEW.tensors("tiny_outputs")["e2e_5_ref2.out"]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("attention", [True, False])
def test_carried_state_leaves_no_jump_at_chunk_boundaries(attention: bool):
    """Differences across a boundary against those inside; and how far from the whole clip."""
    carry = WanBackbone(load(FEW, "tiny"), torch.device("cpu"), torch.float32, attention=attention)
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
