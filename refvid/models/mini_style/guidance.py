"""What of a frame is there to be painted: its noise is not.

The noise of a dark shot, made as bright as a painting, is a texture to whatever looks for strokes,
and becomes a pattern of worms.
"""

from __future__ import annotations

import torch
from torch import Tensor

from refvid.models.mini_style.bands import join_bands, lightness, split_bands
from refvid.models.mini_style.smooth import box_mean, cell_mean

_OCTAVES = 3
"""Of fine detail in which noise is looked for."""

_SHARE_OF_WHITE = (0.9, 0.35, 0.17)
"""Standard deviation of white noise in each of them."""

_CELL = 16
"""Side of the cells whose plainest tell how strong noise is [pixels]."""

_PLAINEST = 0.2
"""Quantile of the cells."""

_SURE = 2.5
"""Detail of so many standard deviations of the noise is half kept."""

_LEAST_NOISE = 0.004
"""Of a range of 2: fainter noise is left alone."""

_COLOUR = 5
"""Noise of colours is averaged over so many pixels."""


def measure_noise(frame: Tensor) -> Tensor:
    """Strength of the noise of (3, H, W) in [-1, 1], a scalar: that in its plain cells."""
    light = lightness(frame)[0]
    # Second differences both ways: plain walls and slopes have none, noise has six times its own.
    down = light[:-2] - 2 * light[1:-1] + light[2:]
    rough = down[:, :-2] - 2 * down[:, 1:-1] + down[:, 2:]
    energy = cell_mean(rough.square(), min(_CELL, *rough.shape)).flatten()
    plain = energy.sort().values[int(_PLAINEST * (len(energy) - 1))]
    return plain.sqrt() / 6


def remove_noise(frame: Tensor, noise: Tensor) -> Tensor:
    """A frame (3, H, W) in [-1, 1] without detail that may be noise of that strength."""
    noise = noise * (noise > _LEAST_NOISE)
    light = lightness(frame)[None]
    bands = split_bands(light, _OCTAVES)
    for octave, share in enumerate(_SHARE_OF_WHITE):
        band = bands[octave]
        doubt = (_SURE * share * noise).square()
        energy = box_mean(band.square(), 3)
        bands[octave] = band * energy / (energy + doubt + 1e-9)
    clean = join_bands(bands)
    colour = (frame - light[0])[None]
    colour = torch.where(noise > 0, box_mean(colour, _COLOUR), colour)
    return (clean + colour)[0].clamp(-1, 1)
