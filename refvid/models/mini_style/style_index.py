"""A style made ready: its palette, its texture statistics and every patch that can be taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from refvid.models.mini_style.palette import Moments, measure_moments, mix_moments
from refvid.models.mini_style.tokens import CELL, PATCH, describe

TURNS = 8
"""Ways to turn and mirror a patch, so that strokes can follow the edges of the video."""

BANDS = 4
"""Octaves of texture whose strength the decoder is told."""

STATISTICS = 3 * BANDS + 9
"""Length of the vector that tells the decoder of a style."""

_PATCHES_PER_TURN = 1024
"""Patches of a style among which one is searched anywhere; between them it is found by steps."""

_NOWHERE = 1e3
"""Value of descriptors outside the picture: no token is unlike a patch by as much."""


@dataclass(frozen=True, slots=True)
class StyleIndex:
    """What painting needs of one or more styles; made once per clip."""

    moments: Moments
    """Palette of all styles together."""

    statistics: Tensor
    """(STATISTICS,) mean and covariance of the colours, strength of each octave and colour."""

    pictures: Tensor
    """(V, H, W, 3) uint8: every style in all its turns, in one corner of a common square."""

    descriptors: Tensor
    """(V, H / CELL - 3, W / CELL - 3, D)."""

    keys: Tensor
    """(K, D): descriptors of the patches that are searched anywhere."""

    key_places: Tensor
    """(K, 3) int64: picture, row and column of their corners."""

    key_counts: tuple[int, ...]
    """How many of them are of each style; those of a style lie together."""

    shares: Tensor
    """(styles,) how much of the frame each should paint; they sum to 1."""


@torch.no_grad()
def index_styles(styles: Sequence[tuple[Tensor, float]]) -> StyleIndex:
    """Gather everything from style images.

    Args:
        styles: Pictures (3, h, w) in [-1, 1], h and w multiples of 8 and at least 32; and weights.

    Raises:
        ValueError: There is none, or a weight is not positive.
    """
    if not styles or any(weight <= 0 for _, weight in styles):
        raise ValueError("Painting needs at least one style, and positive weights.")
    side = max(max(picture.shape[1:]) for picture, _ in styles)
    turned: list[Tensor] = []
    described: list[Tensor] = []
    keys: list[Tensor] = []
    places: list[Tensor] = []
    counts = []
    for picture, _ in styles:
        for turn in range(TURNS):
            view = torch.rot90(picture.float(), turn // 2, (1, 2))
            view = view.flip(2) if turn % 2 else view
            descriptor = describe(view)
            place = _key_places(descriptor, len(turned))
            keys.append(descriptor[place[:, 1] // CELL, place[:, 2] // CELL])
            places.append(place)
            turned.append(_in_square(_to_bytes(view), side))
            described.append(_described_square(descriptor, side))
        counts.append(sum(len(place) for place in places[-TURNS:]))
    weights = torch.tensor([weight for _, weight in styles], device=keys[0].device)
    return StyleIndex(
        mix_moments([(measure_moments(picture), weight) for picture, weight in styles]),
        sum_statistics(styles),
        torch.stack(turned),
        torch.stack(described),
        torch.cat(keys),
        torch.cat(places),
        tuple(counts),
        weights / weights.sum(),
    )


def sum_statistics(styles: Sequence[tuple[Tensor, float]]) -> Tensor:
    """Weighted mean of the styles' statistics: (STATISTICS,)."""
    total = sum(weight for _, weight in styles)
    parts = [_statistics(picture) * (weight / total) for picture, weight in styles]
    return torch.stack(parts).sum(0)


def _statistics(picture: Tensor) -> Tensor:
    moments = measure_moments(picture)
    strengths = []
    rest = picture.float()[None]
    for _ in range(BANDS):
        coarse = functional.avg_pool2d(rest, 2, ceil_mode=True)
        smooth = functional.interpolate(coarse, size=rest.shape[2:], mode="bilinear")
        strengths.append((rest - smooth).square().mean((0, 2, 3)).sqrt().mul(4))
        rest = coarse
    upper = torch.triu_indices(3, 3)
    return torch.cat((moments.mean, moments.covariance[upper[0], upper[1]], *strengths))


def _key_places(descriptor: Tensor, picture: int) -> Tensor:
    """(K, 3) corners on an even grid, at most `_PATCHES_PER_TURN`."""
    rows, columns = descriptor.shape[:2]
    step = 2
    while -(-rows // step) * -(-columns // step) > _PATCHES_PER_TURN:
        step += 1
    device = descriptor.device
    row = torch.arange(0, rows, step, device=device)
    column = torch.arange(0, columns, step, device=device)
    grid = torch.stack(torch.meshgrid(row, column, indexing="ij"), -1).view(-1, 2) * CELL
    return functional.pad(grid, (1, 0), value=picture)


def _to_bytes(picture: Tensor) -> Tensor:
    """(3, H, W) in [-1, 1] -> (H, W, 3) uint8: all turns of a style lie in memory."""
    levels = picture.clamp(-1, 1).add(1).mul(127.5).round()
    return levels.to(torch.uint8).permute(1, 2, 0).contiguous()


def _in_square(picture: Tensor, side: int) -> Tensor:
    height, width = picture.shape[:2]
    return functional.pad(picture, (0, 0, 0, side - width, 0, side - height))


def _described_square(descriptor: Tensor, side: int) -> Tensor:
    rows, columns = descriptor.shape[:2]
    most = (side - PATCH) // CELL + 1
    return functional.pad(descriptor, (0, 0, 0, most - columns, 0, most - rows), value=_NOWHERE)
