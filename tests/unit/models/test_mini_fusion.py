"""The fusion network starts harmless, and what the whole frame lost is measured on its texture."""

import pytest
import torch
from torch.nn import functional

from refvid.models.mini.condition import (
    CONDITION_CHANNELS,
    doubt,
    measure_losses,
    measure_naturalness,
    smooth_over_time,
)
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.fusion import ConditionedFilter, Fusion, leave_unseen, take_colors
from refvid.models.patch_codec import PatchCodec


def measure(frames: torch.Tensor) -> torch.Tensor:
    return measure_losses(PatchCodec().encode(frames), frames)


def test_blur_shows_in_the_condition(texture: torch.Tensor) -> None:
    blurred = functional.avg_pool2d(texture, 3, stride=1, padding=1)
    both = measure(torch.cat((texture, blurred)))
    assert both.shape == (2, CONDITION_CHANNELS)
    lost = (both[0] - both[1])[:64].view(8, 8)  # luma, by vertical and horizontal frequency
    assert lost[4:, 4:].mean() > lost[:2, :2].mean() + 0.3


def test_bars_and_plain_grounds_do_not_look_blurred(texture: torch.Tensor) -> None:
    """Half the frame black: what the other half lost is what counts."""
    barred = torch.cat((torch.full_like(texture, -1), texture), 2)
    alone, with_bars = measure(texture)[0, :64], measure(barred)[0, :64]
    assert (alone - with_bars).abs().mean() < 0.15


@pytest.mark.parametrize("level", [-1.0, 0.2, 1.0])
def test_a_plain_frame_says_nothing(level: float) -> None:
    told = measure(torch.full((1, 3, 64, 64), level))
    assert torch.isfinite(told).all()
    assert told[0, :-3].abs().max() < 1e-3


def test_blocks_show(texture: torch.Tensor) -> None:
    smooth = functional.avg_pool2d(texture, 5, stride=1, padding=2)
    codec = PatchCodec()
    kept = torch.zeros(1, 192, 1, 1)
    kept[:, [0, 1, 8, 64, 80]] = 1  # mean and first slopes: as strong compression leaves them
    blocky = codec.decode(codec.encode(smooth) * kept)
    steps = slice(160, 163)
    assert measure(blocky)[0, steps].max() > measure(smooth)[0, steps].max() + 0.5


@pytest.mark.parametrize("turned", [False, True])
def test_stripes_say_nothing_of_what_they_lost(texture: torch.Tensor, *, turned: bool) -> None:
    wave = torch.sin(torch.arange(128) * 0.57)[:, None].expand(128, 192)
    stripes = (wave[:, :128].T if turned else wave).expand(1, 3, -1, -1)
    codec = PatchCodec()
    assert measure_naturalness(codec.encode(stripes)) == 0
    assert measure_naturalness(codec.encode(texture)) == 1
    # Two directions at once are a pattern as nets and buildings have it.
    both = wave[:, :128] + wave[:, :128].T
    assert measure_naturalness(codec.encode(both.expand(1, 3, -1, -1))) == 1


def test_what_is_doubted_says_how_much_there_is_and_no_more(texture: torch.Tensor) -> None:
    told = measure(texture)
    assert torch.equal(doubt(told, 1.0), told)
    doubted = doubt(told, 0.0)
    assert not doubted[:, :-3].any()
    assert torch.equal(doubted[:, -3:], told[:, -3:])


def test_changes_that_nobody_sees_are_not_made() -> None:
    """A level more everywhere would shift a clean picture's colours; detail stays as it is."""
    level = 1 / 127.5
    detail = torch.randn(1, 48, 16, 16, generator=torch.Generator().manual_seed(0)) * 6 * level
    assert torch.allclose(leave_unseen(detail), detail, rtol=0.15)
    assert leave_unseen(torch.full((1, 48, 16, 16), level)).max() < 0.4 * level


def test_a_network_that_begins_at_zero_learns() -> None:
    fusion = Fusion(MiniConfig()).train()
    frames = torch.rand(1, 3, 32, 32) * 2 - 1
    error = fusion(frames, torch.zeros(1, CONDITION_CHANNELS), None) - frames.roll(1, -1)
    error.square().sum().backward()
    assert fusion.out.weight.grad is not None
    assert fusion.out.weight.grad.abs().max() > 0


def test_the_condition_follows_slowly() -> None:
    first, second = torch.zeros(1, 3), torch.ones(1, 3)
    assert torch.equal(smooth_over_time(second, None), second)
    assert torch.equal(smooth_over_time(second, first), torch.full((1, 3), 0.25))


def test_each_frame_has_a_filter_of_its_own() -> None:
    torch.manual_seed(0)
    network = ConditionedFilter(4, 3, 5)
    torch.nn.init.normal_(network.kernels)
    cells, told = torch.randn(2, 4, 6, 7), torch.randn(2, 5)
    both = network(cells, told)
    for item in range(2):
        alone = network(cells[item : item + 1], told[item : item + 1])
        torch.testing.assert_close(both[item], alone[0], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(network(cells[:1], told[:1]), network(cells[:1], told[1:]))


def test_another_exposure_leaves_detail_only(texture: torch.Tensor) -> None:
    brighter = texture + torch.tensor((0.3, -0.2, 0.1)).view(1, 3, 1, 1)
    taken = take_colors(brighter, texture)
    torch.testing.assert_close(taken, texture, atol=1e-4, rtol=0)
    odd = take_colors(brighter[..., :104, :136], texture[..., :104, :136])
    torch.testing.assert_close(odd, texture[..., :104, :136], atol=1e-4, rtol=0)
