"""Light and dark of a style for a frame, in the frame's own order.

A colour transfer in three dimensions may turn a lit face into the darkest thing of the picture:
what was red becomes blue, and blue is dark. So lightness has a curve of its own that only rises.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from refvid.models.mini_style.bands import lightness

TONES = 64
"""Quantiles of lightness that tell its distribution."""

_STEPS = 128
"""Pieces of a curve over [-1, 1]."""

_SMOOTH = 17
"""Pieces over which its slope is averaged."""

_LEAST_SLOPE, _GREATEST_SLOPE = 0.35, 2.5
"""Contrast is kept everywhere, and noise is not made a picture."""

_MOST_PIXELS = 1 << 15
"""Of a picture, spread evenly: enough for its distribution."""


def measure_tones(picture: Tensor) -> Tensor:
    """(TONES,) quantiles of the lightness of (3, H, W) in [-1, 1], ascending."""
    light = lightness(picture.float()).flatten()
    light = light[:: max(1, len(light) // _MOST_PIXELS)].sort().values
    places = torch.linspace(0.005, 0.995, TONES, device=light.device) * (len(light) - 1)
    return light[places.round().long()]


def tone_curve(source: Tensor, target: Tensor) -> Tensor:
    """The rising curve that brings one distribution near another: (129,) values over [-1, 1].

    It goes through the medians; elsewhere its slope is bounded.
    """
    grid = torch.linspace(-1, 1, _STEPS + 1, device=source.device)
    after = torch.searchsorted(source.contiguous(), grid).clamp(1, TONES - 1)
    low, high = source[after - 1], source[after]
    share = ((grid - low) / (high - low + 1e-4)).clamp(0, 1)
    matched = torch.lerp(target[after - 1], target[after], share)
    slope = matched.diff() * (_STEPS / 2)
    padded = functional.pad(slope[None, None], (_SMOOTH // 2,) * 2, mode="replicate")
    slope = functional.avg_pool1d(padded, _SMOOTH, 1)[0, 0].clamp(_LEAST_SLOPE, _GREATEST_SLOPE)
    curve = functional.pad(slope.cumsum(0) * (2 / _STEPS), (1, 0))
    middle = _follow(curve, source[TONES // 2][None])
    return curve - middle + target[TONES // 2]


def apply_tones(light: Tensor, curve: Tensor) -> Tensor:
    """Lightness of any shape, in about [-1, 1], along a curve from `tone_curve`."""
    return _follow(curve, light)


def give_light(picture: Tensor, light: Tensor) -> Tensor:
    """A picture (..., 3, H, W) with other lightness (..., 1, H, W), both in about [-1, 1].

    Colours that lie outside then are drawn towards grey: lightness and hue stay.
    """
    light = light.clamp(-1, 1)
    colour = picture - lightness(picture)
    room = torch.where(colour > 0, 1 - light, 1 + light)
    share = (room / colour.abs().clamp_min(1e-6)).amin(-3, keepdim=True).clamp(0, 1)
    return light + colour * share


def _follow(curve: Tensor, light: Tensor) -> Tensor:
    place = (light.clamp(-1, 1) + 1) * (_STEPS / 2)
    step = place.long().clamp(max=_STEPS - 1)
    return torch.lerp(curve[step], curve[step + 1], place - step)
