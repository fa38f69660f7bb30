"""What a video lost, measured over the whole frame: the decoder's condition.

Blur and scaling take the high frequencies, compression leaves few coefficients other than zero.
From a few pixels alone the two look alike, and what helps against one harms with the other. The
measure looks only where there is texture, that is something to lose: over a whole plain or dark
frame the mean spectrum says "very blurred", and what would sharpen it makes halos.
"""

from __future__ import annotations

import torch
from torch import Tensor

from refvid.models.mini.ramp import ramp

_LUMA = 64
"""Luma frequencies of an 8x8 patch, first among the latents."""

_LOW = ((1, 4), (8, 11), (16, 18), (24, 25))
"""The lowest luma frequencies but the mean, whose row and column add up to at most 3: start and
stop among the 64, for each row."""

_ONE_WAY = (0.9, 0.97)
"""Share of the luma energy in lines of one direction: up to the first a picture is as pictures are,
from the second on its spectrum is that of the stripes alone, and says nothing of what it lost."""

_CHROMA = 32
"""The low chroma frequencies, next."""

_TEXTURE = 1e-3
"""Mean square of low luma frequencies at which a patch counts half: about 2 of 255 levels."""

_PERIODS = (4, 8, 16)
"""Pixels between the borders of the blocks of common codecs."""

_OVERALL = 3
"""Numbers that say how much there is to measure, rather than what was lost."""

MEASURED_CHANNELS = _LUMA + _CHROMA
"""Of the latents, the first ones: the others tell nothing."""

CONDITION_CHANNELS = 2 * _LUMA + _CHROMA + len(_PERIODS) + _OVERALL


def measure_losses(latents: Tensor, frames: Tensor) -> Tensor:
    """Describe whole frames for the decoder.

    Args:
        latents: (N, C, h, w) of the codec, at least the first `MEASURED_CHANNELS`.
        frames: (N, 3, 8h, 8w), the same in [-1, 1].

    Returns:
        (N, CONDITION_CHANNELS) float32, each about in [-2, 2]: by luma frequency how strong it is
        and how sparse, chroma's strength, how much clearer steps are at the borders of blocks, and
        how much texture, light and contrast there is. All but the last three vanish where nothing
        has texture.
    """
    luma = latents[:, :_LUMA].float().flatten(2)  # (N, 64, patches)
    strength = luma.abs()
    low = torch.cat([luma[:, start:stop] for start, stop in _LOW], 1)
    energy = low.square().mean(1)
    texture = energy / (energy + _TEXTURE)  # (N, patches)
    amount = texture.mean(1, keepdim=True)
    weight = (texture / texture.sum(1, keepdim=True).clamp(min=1e-6))[:, :, None]
    arithmetic = (strength @ weight)[..., 0].add(1e-3).log()
    geometric = (strength.add_(2e-3).log_() @ weight)[..., 0]
    chroma = latents[:, _LUMA:MEASURED_CHANNELS].float().flatten(2).abs()
    colorful = (chroma @ weight)[..., 0].add(1e-3).log()
    certain = amount / (amount + 0.02)
    measured = torch.cat(
        (
            arithmetic.add(4).mul(0.5),
            (arithmetic - geometric - 0.5).mul(1.5),
            colorful.add(5).mul(0.5),
            _block_steps(frames),
        ),
        1,
    )
    light = luma[:, 0] / 8 / 3**0.5  # mean of a patch, in [-1, 1]
    overall = torch.stack((light.mean(1), light.std(1)), 1)
    return torch.cat((measured * certain, amount.mul(2).sub(1), overall), 1)


def doubt(condition: Tensor, share: float) -> Tensor:
    """A condition (N, C) of which only a share is believed, in [0, 1]."""
    measured, rest = condition[:, :-_OVERALL], condition[:, -_OVERALL:]
    return torch.cat((measured * share, rest), 1)


def measure_naturalness(latents: Tensor) -> float:
    """1 for pictures, 0 for stripes, whose losses cannot be read from them: of (1, C, h, w)."""
    # In one copy: on a graphics card, each number by itself would wait for all that goes before.
    energy = latents[0, 1:_LUMA].float().square().mean((1, 2)).tolist()  # without the mean
    share = max(sum(energy[:7]), sum(energy[7::8])) / max(sum(energy), 1e-9)
    return 1 - ramp(share, _ONE_WAY)


def _block_steps(frames: Tensor) -> Tensor:
    """Logarithm of the steps at block borders over those elsewhere: (N, periods)."""
    luma = frames.float().mean(1)
    across = (luma[:, :, 1:] - luma[:, :, :-1]).abs().mean(1)  # (N, W - 1)
    down = (luma[:, 1:] - luma[:, :-1]).abs().mean(2)  # (N, H - 1)
    ratios = [
        torch.stack([_step_ratio(steps, period) for steps in (across, down)]).mean(0)
        for period in _PERIODS
    ]
    return torch.stack(ratios, 1).clamp(-2, 2)


def _step_ratio(steps: Tensor, period: int) -> Tensor:
    borders = steps[:, period - 1 :: period].mean(1)
    inside = steps[:, period // 2 - 1 :: period].mean(1)
    return 4 * ((borders + 1e-3) / (inside + 1e-3)).log()


def smooth_over_time(now: Tensor, before: Tensor | None) -> Tensor:
    """Let a shot's condition follow slowly, so that its strength does not flicker: (N, C)."""
    return now if before is None else torch.lerp(before, now, 0.25)
