"""The backbone keeps the protocol's promises: sizes, windows, missing references, memory."""

from __future__ import annotations

import pytest
import torch

from refvid.models.videovaeplus import autoencoder, blocks
from refvid.models.videovaeplus.autoencoder import (
    LIMITS,
    VideoVaePlusAutoencoder,
    VideoVaePlusBackbone,
)
from refvid.models.videovaeplus.blocks import GroupNorm, ResidualBlock, TimeConv
from refvid.models.videovaeplus.config import VideoVaePlusConfig
from refvid.rebuild.memory import choose_budget, plan_budget

CPU = torch.device("cpu")
SMALL = VideoVaePlusConfig(
    base_channels=4,
    temporal_channels=4,
    norm_groups=4,
    transformer_blocks=2,
    heads=2,
    head_channels=8,
    feed_forward_channels=24,
)


def make_backbone(dtype: torch.dtype = torch.float32) -> VideoVaePlusBackbone:
    torch.manual_seed(0)
    return VideoVaePlusBackbone(VideoVaePlusAutoencoder(SMALL), CPU, dtype)


@pytest.fixture(scope="module")
def backbone() -> VideoVaePlusBackbone:
    return make_backbone()


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("frames", [4, 16])
def test_shapes(backbone, frames: int) -> None:
    encoded = backbone.encode(noise(3, frames, 24, 40))
    assert encoded.latents.shape == (1, 16, frames // 4, 3, 5)
    reference = backbone.prepare_reference(noise(3, 24, 40))
    decoded = backbone.decode(encoded.latents, reference)
    assert decoded.clip.shape == (1, 3, frames, 24, 40)
    assert decoded.clip.dtype == torch.float32
    assert encoded.state is None
    assert decoded.state is None


def test_inputs_stay_as_they_are(backbone) -> None:
    """Layers work in place, but never in what the caller owns."""
    clip, picture = noise(3, 4, 16, 16), noise(3, 16, 16)
    reference = backbone.prepare_reference(picture)
    latents = backbone.encode(clip).latents
    kept = [tensor.clone() for tensor in (clip, reference, latents)]
    first = backbone.decode(latents, reference).clip
    second = backbone.decode(latents, reference).clip
    assert torch.equal(first, second)
    for tensor, before in zip((clip, reference, latents), kept, strict=True):
        assert torch.equal(tensor, before)


def test_three_ways_to_decode_differ(backbone) -> None:
    latents = noise(16, 1, 3, 3)
    reference = backbone.prepare_reference(noise(3, 24, 24))
    helped, alone = (backbone.decode(latents, given).clip for given in (reference, None))
    plain = backbone.plain().decode(latents, reference).clip
    assert not torch.allclose(helped, alone)
    assert not torch.allclose(alone, plain)
    assert backbone.attention, "the copy is another backbone"


def test_a_tile_as_large_as_the_frame_changes_nothing(backbone) -> None:
    latents = noise(16, 1, 6, 8)
    whole = backbone.decode(latents).clip
    assert torch.equal(backbone.decode(latents, tile=256).clip, whole)
    tiled = backbone.decode(latents, tile=32).clip
    assert tiled.shape == whole.shape
    assert torch.isfinite(tiled).all()
    assert not torch.equal(tiled, whole), "the norms see windows"


def test_large_frames_are_encoded_in_windows(backbone, monkeypatch) -> None:
    clip = noise(3, 4, 48, 80)
    whole = backbone.encode(clip).latents
    monkeypatch.setattr(autoencoder, "TRAINED_PIXELS", 32 * 32)
    windowed = backbone.encode(clip).latents
    assert windowed.shape == whole.shape
    assert not torch.equal(windowed, whole)


def test_working_a_few_frames_at_a_time_changes_nothing(backbone, monkeypatch) -> None:
    clip = noise(3, 8, 24, 24)
    reference = backbone.prepare_reference(clip[:, :, 0])
    whole = backbone.encode(clip).latents
    decoded = backbone.decode(whole, reference).clip
    monkeypatch.setattr(blocks, "VALUES_PER_STEP", 5000)
    torch.testing.assert_close(backbone.encode(clip).latents, whole, atol=2e-5, rtol=0)
    again = backbone.decode(whole, reference).clip
    torch.testing.assert_close(again, decoded, atol=5e-5, rtol=0)


@torch.inference_mode()
def test_the_norm_is_pytorchs(monkeypatch) -> None:
    norm = GroupNorm(2, 6)
    norm.weight.data, norm.bias.data = noise(6)[0], noise(6)[0] + 1
    x = 3 * noise(5, 4, 7, 6) + 2
    wanted = torch.nn.functional.group_norm(
        x.movedim(-1, 1), 2, norm.weight, norm.bias, norm.epsilon
    ).movedim(1, -1)
    torch.testing.assert_close(norm(x), wanted)
    torch.testing.assert_close(norm(x, silu=True), torch.nn.functional.silu(wanted))
    monkeypatch.setattr(blocks, "VALUES_PER_STEP", 1)
    torch.testing.assert_close(norm(x), wanted)
    # What graphics cards compute with.
    monkeypatch.setattr(blocks, "row_moments", blocks.frame_moments)
    torch.testing.assert_close(norm(x), wanted)


@torch.inference_mode()
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_the_time_convolution_in_steps(monkeypatch, frames: int) -> None:
    layer = TimeConv(2, 4)
    x = noise(frames, 3, 5, 4)
    normed = layer.norm(x, silu=True).movedim(-1, 1)
    wanted = x + layer.conv(normed).movedim(1, -1)
    monkeypatch.setattr(blocks, "VALUES_PER_STEP", 1)
    torch.testing.assert_close(layer(x.clone()), wanted)


@torch.inference_mode()
def test_a_residual_block_leaves_its_input() -> None:
    for outputs in (4, 8):
        block, x = ResidualBlock(2, 4, outputs), noise(3, 4, 4, 4)
        before = x.clone()
        block(x)
        assert torch.equal(x, before)


def test_sixteen_bits_stay_sixteen_bits() -> None:
    whole = make_backbone()
    model = VideoVaePlusAutoencoder(SMALL)
    halves = {key: value.half() for key, value in whole.model.state_dict().items()}
    model.load_state_dict(halves, assign=True)
    mixed = VideoVaePlusBackbone(model, CPU, torch.float32)
    assert {parameter.dtype for parameter in mixed.model.parameters()} == {torch.float16}
    latents = noise(16, 1, 2, 2)
    difference = mixed.decode(latents).clip - whole.decode(latents).clip
    assert difference.abs().max() < 0.05


def test_bfloat16(backbone) -> None:
    latents = noise(16, 1, 2, 2)
    reference = noise(3, 16, 16)
    low = make_backbone(torch.bfloat16)
    clip = low.decode(latents, low.prepare_reference(reference)).clip
    wanted = backbone.decode(latents, backbone.prepare_reference(reference)).clip
    assert (clip - wanted).abs().mean() < 0.05


@pytest.fixture(scope="module")
def full() -> VideoVaePlusBackbone:
    with torch.device("meta"):
        model = VideoVaePlusAutoencoder(VideoVaePlusConfig())
    for parameter in model.parameters():
        parameter.data = parameter.data.half()
    return VideoVaePlusBackbone(model, torch.device("meta"), torch.bfloat16)


class TestMemory:
    """Estimates for the published sizes, on a device without numbers."""

    def test_less_of_anything_takes_less(self, full) -> None:
        needed = full.working_bytes(480, 832, 16, None)
        assert full.working_bytes(480, 832, 8, None) < needed
        assert full.working_bytes(240, 416, 16, None) < needed
        large = full.working_bytes(720, 1280, 16, None)
        assert full.working_bytes(720, 1280, 16, 512) < large

    def test_the_planner_shortens_chunks_and_then_tiles(self, full) -> None:
        wanted = choose_budget(LIMITS, 480, 832)
        assert (wanted.lengths.longest, wanted.tile) == (16, None)
        shorter = plan_budget(full, 480, 832, wanted, 8 * 10**9).budget
        assert (shorter.lengths.longest, shorter.lengths.overlap) == (8, 4)
        assert choose_budget(LIMITS, 1080, 1920).tile is not None, "larger than it was trained with"

    @pytest.mark.slow
    @pytest.mark.parametrize(("side", "frames"), [(128, 16), (256, 4)])
    def test_the_estimate_is_honest(self, full, count_live_bytes, side, frames) -> None:
        with count_live_bytes(full) as counter:
            reference = full.prepare_reference(torch.empty(1, 3, side, side, device="meta"))
            clip = torch.empty(1, 3, frames, side, side, device="meta")
            full.decode(full.encode(clip).latents, reference)
        estimate = full.working_bytes(side, side, frames, None)
        assert counter.peak < estimate < 1.4 * counter.peak + 1.2e9


def test_several_references_at_once(backbone) -> None:
    pictures = [noise(3, 24, 24) * seed / 2 for seed in (1, 2)]
    one, two = (backbone.prepare_reference(picture) for picture in pictures)
    latents = noise(16, 1, 3, 3)
    alone = backbone.decode(latents, one).clip
    assert torch.equal(backbone.decode(latents, backbone.join_references([one])).clip, alone)
    both = backbone.decode(latents, backbone.join_references([one, two])).clip
    turned = backbone.decode(latents, backbone.join_references([two, one])).clip
    torch.testing.assert_close(both, turned, atol=1e-5, rtol=1e-4)
    for single in (alone, backbone.decode(latents, two).clip):
        assert (both - single).abs().max() > 1e-4
    tiled = backbone.decode(latents, backbone.join_references([one, two]), tile=16).clip
    assert tiled.shape == both.shape
