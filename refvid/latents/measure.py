"""Numbers about latents, taken in one pass that never holds more than a few latent frames."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from refvid.latents.layout import neighbour_correlation

_BLOCK_VALUES: Final = 2**22


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Statistics of one item's latents."""

    mean: float
    std: float
    lowest: float
    highest: float
    channel_stds: tuple[float, ...]
    bad_values: int
    """How many are NaN or infinite."""

    time_correlation: float | None
    """Mean correlation of neighbouring latent frames; None for a single one."""


def measure(latents: Tensor) -> Measures:
    """Go through latents (C, T, h, w) of any float type."""
    channels, length, height, width = latents.shape
    per_block = max(2, _BLOCK_VALUES // max(1, channels * height * width))
    sums = torch.zeros(channels, dtype=torch.float64)
    squares = torch.zeros(channels, dtype=torch.float64)
    lowest, highest, bad = math.inf, -math.inf, 0
    correlations: list[float] = []
    for start in range(0, length, per_block):
        block = latents[:, start : start + per_block].to(torch.float32)
        finite = torch.isfinite(block)
        if not bool(finite.all()):
            bad += int((~finite).sum())
            block = torch.where(finite, block, 0.0)
        flat = block.flatten(1).double()
        sums += flat.sum(1)
        squares += flat.square().sum(1)
        lowest, highest = min(lowest, float(block.min())), max(highest, float(block.max()))
        if block.shape[1] > 1:
            correlations += [neighbour_correlation(channel) for channel in block]
    count = length * height * width
    means = sums / count
    stds = (squares / count - means.square()).clamp_min(0).sqrt()
    mean = float(means.mean())
    total = float((squares.sum() / (count * channels) - mean**2).clamp_min(0).sqrt())
    return Measures(
        mean=mean,
        std=total,
        lowest=lowest,
        highest=highest,
        channel_stds=tuple(float(std) for std in stds),
        bad_values=bad,
        time_correlation=sum(correlations) / len(correlations) if correlations else None,
    )
