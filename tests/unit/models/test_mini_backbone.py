"""The backbone keeps the protocol's promises: chunks, tiles, missing references."""

import dataclasses

import pytest
import torch

from refvid.models.mini.autoencoder import HALO_PX, MiniBackbone
from refvid.models.mini.condition import CONDITION_CHANNELS
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder
from refvid.models.mini.fusion import TRUST_CHANNELS, Aligned

CPU = torch.device("cpu")


@pytest.fixture
def backbone(small_config: MiniConfig, small_decoder: MiniDecoder) -> MiniBackbone:
    return MiniBackbone(small_decoder, small_config, CPU, torch.float32)


@pytest.fixture
def clip(texture: torch.Tensor) -> torch.Tensor:
    """(1, 3, 6, 128, 192): the texture on the move, blurred."""
    frames = [torch.roll(texture, (3 * t, -5 * t), (2, 3)) for t in range(6)]
    blurred = [torch.nn.functional.avg_pool2d(f, 3, stride=1, padding=1) for f in frames]
    return torch.stack(blurred, 2).clamp(-1, 1)


def test_a_fresh_decoder_gives_the_codec_back(
    small_config: MiniConfig, clip: torch.Tensor, texture: torch.Tensor
) -> None:
    backbone = MiniBackbone(MiniDecoder(small_config), small_config, CPU, torch.float32)
    latents = backbone.encode(clip).latents
    assert latents.shape == (1, 192, 6, 16, 24)
    decoded = backbone.decode(latents).clip
    torch.testing.assert_close(decoded, clip, atol=1e-5, rtol=0)
    # It starts with a little of what the reference has more: learning begins at once.
    led = backbone.decode(latents, backbone.prepare_reference(texture)).clip
    assert 0 < (led - clip).abs().mean() < 0.05


def test_the_change_counts_as_far_as_the_losses_say(
    small_config: MiniConfig, small_decoder: MiniDecoder, clip: torch.Tensor, texture: torch.Tensor
) -> None:
    """Except where a reference shows what was lost."""
    plain = MiniBackbone(small_decoder, small_config, CPU, torch.float32)
    config = dataclasses.replace(small_config, weighs_change=True)
    decoder = MiniDecoder(config)
    decoder.fusion = small_decoder.fusion
    weighing = MiniBackbone(decoder, config, CPU, torch.float32)
    latents = plain.encode(clip[:, :, :1]).latents
    reference = plain.prepare_reference(texture)
    frame = plain.codec.decode(latents[:, :, 0])
    whole, led = plain.decode(latents).clip, plain.decode(latents, reference).clip
    assert decoder.change is not None
    for logit, share in ((20.0, 1.0), (0.0, 0.5), (-20.0, 0.0)):
        decoder.change.answer.bias.fill_(logit)
        expected = torch.lerp(frame, whole[:, :, 0], share).clamp(-1, 1)
        torch.testing.assert_close(weighing.decode(latents).clip[:, :, 0], expected)
        assert torch.equal(weighing.decode(latents, reference).clip, led)


def test_neighbours_count_nothing_where_nothing_was_lost(
    small_config: MiniConfig, clip: torch.Tensor
) -> None:
    config = dataclasses.replace(small_config, weighs_change=True, weighs_neighbours=True)
    decoder = MiniDecoder(config)
    backbone = MiniBackbone(decoder, config, CPU, torch.float32)
    latents = backbone.encode(clip).latents
    assert decoder.change is not None
    assert decoder.neighbours is not None
    decoder.neighbours.bias.fill_(10.0)
    decoder.change.answer.bias.fill_(-20.0)
    torch.testing.assert_close(backbone.decode(latents).clip, clip, atol=1e-5, rtol=0)
    decoder.change.answer.bias.fill_(20.0)
    assert (backbone.decode(latents).clip - clip).abs().max() > 0.01


def test_stripes_are_left_alone(backbone: MiniBackbone) -> None:
    """What they lost cannot be read from them."""
    backbone.decoder.fusion.out.bias.add_(0.2)
    stripes = torch.zeros(1, 3, 1, 64, 128) + 0.5 * torch.sin(torch.arange(128) * 0.9)
    decoded = backbone.decode(backbone.encode(stripes).latents).clip
    torch.testing.assert_close(decoded, stripes, atol=1e-5, rtol=0)


@pytest.mark.parametrize("lengths", [(1, 5), (2, 2, 2), (1, 1, 1, 1, 1, 1), (5, 1)])
def test_chunks_equal_the_whole(
    backbone: MiniBackbone, clip: torch.Tensor, texture: torch.Tensor, lengths: tuple[int, ...]
) -> None:
    reference = backbone.prepare_reference(texture)
    latents = backbone.encode(clip).latents
    whole = backbone.decode(latents, reference).clip
    state, parts = None, []
    for part in latents.split(lengths, 2):
        decoded = backbone.decode(part, reference, state)
        state = decoded.state
        parts.append(decoded.clip)
    assert torch.equal(torch.cat(parts, 2), whole)


def test_the_state_matters_and_is_not_changed(
    backbone: MiniBackbone, clip: torch.Tensor, texture: torch.Tensor
) -> None:
    reference = backbone.prepare_reference(texture)
    latents = backbone.encode(clip).latents
    state = backbone.decode(latents[:, :, :5], reference).state
    before = state[0].references[0].coarse.copy()
    first = backbone.decode(latents[:, :, 5:], reference, state).clip
    again = backbone.decode(latents[:, :, 5:], reference, state).clip
    assert torch.equal(first, again)
    assert (state[0].references[0].coarse == before).all()


@pytest.mark.parametrize("tile", [32, 64, 100])
def test_tiles_equal_the_whole(
    backbone: MiniBackbone, clip: torch.Tensor, texture: torch.Tensor, tile: int
) -> None:
    latents = backbone.encode(clip[:, :, :2]).latents
    reference = backbone.prepare_reference(texture)
    for prepared in (reference, None):
        whole = backbone.decode(latents, prepared).clip
        tiled = backbone.decode(latents, prepared, tile=tile).clip
        torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=0)


def test_the_halo_is_wider_than_what_the_network_sees() -> None:
    """Of the network that ships: a change further away than the halo must not show."""
    torch.manual_seed(0)
    decoder = MiniDecoder(MiniConfig()).eval()
    for parameter in decoder.fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    condition = torch.zeros(1, CONDITION_CHANNELS)
    pixels = torch.randn(1, 3, 32, 512, requires_grad=True)
    trust = torch.randn(1, TRUST_CHANNELS, 8, 128, requires_grad=True)
    for aligned in (None, Aligned(pixels, trust)):
        frame = torch.zeros(1, 3, 32, 512, requires_grad=True)
        decoder(frame, condition, aligned)[..., 256:258].sum().backward()
        inputs = [(frame, 1)] if aligned is None else [(frame, 1), (pixels, 1), (trust, 4)]
        for tensor, scale in inputs:
            assert tensor.grad is not None
            seen = tensor.grad.abs().sum((0, 1, 2)).nonzero().flatten() * scale
            reach = max(256 - int(seen.min()), int(seen.max()) + scale - 1 - 257)
            assert 32 < reach <= HALO_PX


def test_batches_equal_single_clips(
    backbone: MiniBackbone, clip: torch.Tensor, texture: torch.Tensor
) -> None:
    pair = torch.cat((clip, clip.flip(4)))
    references = torch.cat((texture, texture.flip(3)))
    both = backbone.decode(backbone.encode(pair).latents, backbone.prepare_reference(references))
    for item in range(2):
        alone = backbone.decode(
            backbone.encode(pair[item : item + 1]).latents,
            backbone.prepare_reference(references[item : item + 1]),
        )
        torch.testing.assert_close(both.clip[item], alone.clip[0], atol=1e-5, rtol=0)


def test_bfloat16_stays_close(
    small_config: MiniConfig,
    small_decoder: MiniDecoder,
    backbone: MiniBackbone,
    clip: torch.Tensor,
    texture: torch.Tensor,
) -> None:
    latents = backbone.encode(clip).latents
    exact = backbone.decode(latents, backbone.prepare_reference(texture)).clip
    half = MiniBackbone(small_decoder, small_config, CPU, torch.bfloat16)
    rough = half.decode(latents, half.prepare_reference(texture)).clip
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().mean() < 2 / 255


def test_estimates_grow_with_the_work(backbone: MiniBackbone) -> None:
    assert backbone.working_bytes(480, 832, 8, None) > backbone.working_bytes(480, 832, 1, None)
    assert backbone.working_bytes(1080, 1920, 8, None) > backbone.working_bytes(480, 832, 8, None)
    assert backbone.working_bytes(1080, 1920, 8, 256) < backbone.working_bytes(1080, 1920, 8, None)


def test_limits_are_whole(backbone: MiniBackbone) -> None:
    limits = dataclasses.asdict(backbone.limits)
    assert limits["min_size"] % limits["size_multiple"] == 0
    smallest = torch.zeros(1, 3, 1, limits["min_size"], limits["min_size"])
    reference = backbone.prepare_reference(smallest[:, :, 0])
    assert (
        backbone.decode(backbone.encode(smallest).latents, reference).clip.shape == smallest.shape
    )
