"""A style made ready: its palette, its texture statistics and every patch that can be taken.

Patches are taken at up to three sizes. At the coarsest a patch is a ninth of the painting high: a
swirl, a plane, a contour, that is moved as a whole; at the finest it is a stroke.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from refvid.models.mini_style.hues import hue_strengths, measure_hues, shrink_for_hues, sort_hues
from refvid.models.mini_style.palette import Moments, measure_moments, mix_moments
from refvid.models.mini_style.tokens import CELL, PATCH, STRIDE, describe, edge_strength
from refvid.models.mini_style.tones import measure_tones

TURNS = 8
"""Ways to turn and mirror a patch, so that strokes can follow the edges of the video."""

BANDS = 4
"""Octaves of texture whose strength the decoder is told."""

STATISTICS = 3 * BANDS + 9
"""Length of the vector that tells the decoder of a style."""

MAX_STYLE_PIXELS = 1 << 21
"""Larger styles are painted on a smaller canvas: all their turns lie in memory."""

_COARSE_SIDE = 140
"""Side of a square style at the coarsest level, about [pixels]."""

_LEVELS = 3
"""Most sizes at which patches are taken, each half of the one before."""

_PATCHES_PER_TURN = 1024
"""Patches of a style among which one is searched anywhere; between them it is found by steps."""

_MARGIN = 1 / 16
"""Of each side of a painting, from which nothing is taken."""

_MANY_PATCHES = 16
"""Along a side: fewer have no margin."""

_NOWHERE = 1e3
"""Value of descriptors outside the picture: no token is unlike a patch by as much."""


@dataclass(frozen=True, slots=True)
class LevelIndex:
    """One size of the styles: the patches that can be taken at it."""

    factor: int
    """Pixels of the canvas to a pixel of this level."""

    pictures: Tensor
    """(V, h, w, 3) uint8: every style in all its turns, in one corner of a common square."""

    descriptors: Tensor
    """(V, h / CELL - 3, w / CELL - 3, D)."""

    keys: Tensor
    """(K, D): descriptors of the patches that are searched anywhere."""

    key_places: Tensor
    """(K, 3) int64: picture, row and column of their corners."""

    key_counts: tuple[int, ...]
    """How many of them are of each style; those of a style lie together."""

    strengths: Tensor
    """(K,) how strong the edges of these patches are, ascending."""

    shares: Tensor
    """(styles,) how much of the frame each should paint; they sum to 1."""


@dataclass(frozen=True, slots=True)
class StyleIndex:
    """What painting needs of one or more styles; made once per clip."""

    moments: Moments
    """Palette of all styles together."""

    tones: Tensor
    """(TONES,) quantiles of their lightness."""

    hues: Tensor
    """Of their cells, from `sort_hues`."""

    hue_strengths: Tensor
    """How much hues differ in them, from `hue_strengths`."""

    statistics: Tensor
    """(STATISTICS,) mean and covariance of the colours, strength of each octave and colour."""

    pictures: Tensor
    """(V, H, W, 3) uint8 at the size of the canvas: every style in all its turns."""

    canvas: int
    """Pixels of a frame to a pixel of the canvas that is painted."""

    levels: tuple[LevelIndex, ...]
    """From coarse to fine."""


@torch.no_grad()
def index_styles(styles: Sequence[tuple[Tensor, float]]) -> StyleIndex:
    """Gather everything from style images.

    Their area, which is the frame's at a scale of 1, tells how large the pieces of them are that
    are moved as a whole: about a ninth of the painting's height.

    Args:
        styles: Pictures (3, h, w) in [-1, 1], h and w at least 32; and weights.

    Raises:
        ValueError: There is none, or a weight is not positive.
    """
    if not styles or any(weight <= 0 for _, weight in styles):
        raise ValueError("Painting needs at least one style, and positive weights.")
    area = max(picture.shape[1] * picture.shape[2] for picture, _ in styles)
    canvas = 1
    while area > MAX_STYLE_PIXELS * canvas**2:
        canvas *= 2
    factors = _choose_factors(math.sqrt(area) / canvas)
    pictures = [_fitted(picture, canvas, factors[0]) for picture, _ in styles]
    weights = torch.tensor([weight for _, weight in styles], device=pictures[0].device)
    shares = weights / weights.sum()
    tones = torch.stack([measure_tones(picture) for picture, _ in styles])
    turned = _turned(pictures)
    return StyleIndex(
        mix_moments([(measure_moments(picture), weight) for picture, weight in styles]),
        (tones * shares[:, None]).sum(0),
        _hues_of(pictures, [weight for _, weight in styles]),
        (torch.stack([hue_strengths(picture) for picture in pictures]) * shares[:, None]).sum(0),
        sum_statistics(styles),
        turned,
        canvas,
        tuple(_index_level(pictures, turned, factor, shares) for factor in factors),
    )


def _hues_of(pictures: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    hues = [measure_hues(shrink_for_hues(picture)) for picture in pictures]
    return sort_hues(
        [(one, weight / sum(weights)) for one, weight in zip(hues, weights, strict=True)]
    )


def _choose_factors(side: float) -> tuple[int, ...]:
    """Levels for a painting whose area is that of a square of this side [pixels]."""
    coarse: int = 2 ** max(0, round(math.log2(side / _COARSE_SIDE)))
    return tuple(coarse >> number for number in range(_LEVELS) if coarse >> number)


def _fitted(picture: Tensor, canvas: int, factor: int) -> Tensor:
    """A style at the size of the canvas, of which every level has a whole number of cells."""
    least, multiple = PATCH * factor, STRIDE * factor
    size = [max(round(side / canvas / multiple) * multiple, least) for side in picture.shape[1:]]
    return _resized(picture.float(), size)


def _resized(picture: Tensor, size: Sequence[int]) -> Tensor:
    if list(picture.shape[1:]) == list(size):
        return picture
    shown = picture[None]
    return functional.interpolate(shown, size=list(size), mode="bilinear", antialias=True)[0]


def _views(picture: Tensor) -> Iterator[Tensor]:
    """A picture (3, h, w) in all its turns."""
    for turn in range(TURNS):
        view = torch.rot90(picture, turn // 2, (1, 2))
        yield view.flip(2) if turn % 2 else view


def _turned(pictures: Sequence[Tensor]) -> Tensor:
    side = max(max(picture.shape[1:]) for picture in pictures)
    return torch.stack(
        [_in_square(_to_bytes(view), side) for picture in pictures for view in _views(picture)]
    )


def _index_level(
    pictures: Sequence[Tensor], turned: Tensor, factor: int, shares: Tensor
) -> LevelIndex:
    small = [
        _resized(picture, [side // factor for side in picture.shape[1:]]) for picture in pictures
    ]
    side = max(max(picture.shape[1:]) for picture in small)
    described, keys, places, counts = [], [], [], []
    for number, picture in enumerate(small):
        for turn, view in enumerate(_views(picture)):
            descriptor = _without_margin(describe(view))
            place = _key_places(descriptor, number * TURNS + turn)
            keys.append(descriptor[place[:, 1] // CELL, place[:, 2] // CELL])
            places.append(place)
            described.append(_described_square(descriptor, side))
        counts.append(sum(len(place) for place in places[-TURNS:]))
    searched = torch.cat(keys)
    return LevelIndex(
        factor,
        turned if factor == 1 else _turned(small),
        torch.stack(described),
        searched,
        torch.cat(places),
        tuple(counts),
        edge_strength(searched).sort().values,
        shares,
    )


def _without_margin(descriptor: Tensor) -> Tensor:
    """Take nothing from the margin of a painting: there are signatures, dates and frames."""
    rows, columns = descriptor.shape[:2]
    down, across = _margin(rows), _margin(columns)
    inner = torch.full_like(descriptor, _NOWHERE)
    inside = (slice(down, rows - down), slice(across, columns - across))
    inner[inside] = descriptor[inside]
    return inner


def _margin(patches: int) -> int:
    """Of so many patches along a side; of a picture of few patches all are needed."""
    return round(_MARGIN * patches) if patches >= _MANY_PATCHES else 0


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
    colours = torch.cat((moments.mean, moments.covariance[upper[0], upper[1]]))
    return torch.cat((colours.to(picture.device), *strengths))


def _key_places(descriptor: Tensor, picture: int) -> Tensor:
    """(K, 3) corners on an even grid within the margin, at most `_PATCHES_PER_TURN`."""
    rows, columns = descriptor.shape[:2]
    step = 2
    while -(-rows // step) * -(-columns // step) > _PATCHES_PER_TURN:
        step += 1
    device = descriptor.device
    row, column = (
        torch.arange(-(-_margin(count) // step) * step, count - _margin(count), step, device=device)
        for count in (rows, columns)
    )
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
