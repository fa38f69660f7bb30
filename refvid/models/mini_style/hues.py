"""The hues of a style for a frame: also those that are rare in it.

The linear map of `palette` gives a frame the mean and the covariance of a style's colours. A
painting in grays with some planes of green and orange has hardly any covariance, and makes a gray
photograph of a video. So hues are moved once more after it, until they are distributed as in the
style: what is a little greener than the rest of the frame becomes as green as the planes.

A hue is what lightness leaves of a colour, two numbers. They are moved by sliced optimal transport
(Pitie et al., "Automated colour grading using colour distribution transfer", 2007), found of the
means of cells and the same for all of a shot but for its drift: alike things stay alike, and
nothing flickers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from refvid.models.mini_style.bands import join_bands, lightness, split_bands
from refvid.models.mini_style.smooth import cell_mean

_CELL = 8
"""Side of the cells whose hues are distributed [pixels]."""

_FIELD_CELL = 4
"""Side of the cells whose hues are moved as one [pixels]: only what is larger matters."""

_SAMPLES = 1024
"""Of a picture, spread evenly."""

_DIRECTIONS = 16
"""In which distributions are matched, one after the other."""

_GRID, _REACH = 33, 0.8
"""Places along each side at which shifts of hue are known, for hues from minus to plus this."""

_BLUR = 0.05
"""Hues that are as near as this move together."""

_DOUBT = 0.2
"""Where fewer samples than this have a hue like it, it moves less."""

_MOST = 0.35
"""By how much a hue moves at most."""

_OCTAVES = 6
"""Of differences of hue that become as strong as the style's."""

_MOST_GAIN = 2.0
"""By which they grow at most; they never shrink."""

_FAINT = 0.002
"""Differences of hue that are none."""

_AXES = ((0.35626, 0.00000, -0.93439), (-0.82041, 0.47864, -0.31280))
"""Two directions of RGB without lightness, of length 1 and at right angles."""


def shrink_for_hues(picture: Tensor) -> Tensor:
    """Means of the cells of (3, H, W) whose hues are distributed."""
    return cell_mean(picture.float(), min(_CELL, *picture.shape[1:]))


def measure_hues(cells: Tensor) -> Tensor:
    """Hues (SAMPLES, 2) of cells (3, h, w) in [-1, 1], spread evenly."""
    return _spread(_hues(cells).flatten(1).T, _SAMPLES)


def sort_hues(styles: Sequence[tuple[Tensor, float]]) -> Tensor:
    """Hues of styles by `measure_hues`, with shares that sum to 1: what `find_shifts` takes.

    Returns:
        (DIRECTIONS, SAMPLES) along every direction, ascending.
    """
    chosen = [_spread(hues, max(1, round(share * _SAMPLES))) for hues, share in styles]
    together = torch.cat(chosen)
    ascending = (_directions(together.device) @ together.T).sort(1).values
    return _spread(ascending.T, _SAMPLES).T.contiguous()


def find_shifts(hues: Tensor, wanted: Tensor) -> Tensor:
    """Find what brings hues to the distribution of a style.

    Args:
        hues: (SAMPLES, 2) of a frame, from `measure_hues`.
        wanted: Those of the style, from `sort_hues`.

    Returns:
        (2, GRID, GRID): by how much a hue moves; the second number of hues goes down the rows.
    """
    moved = hues
    for direction, target in zip(_directions(hues.device), wanted, strict=True):
        along = moved @ direction
        order = along.argsort(stable=True)
        step = torch.empty_like(along)
        step[order] = target - along[order]
        moved = moved + step[:, None] * direction
    shift = moved - hues
    length = shift.norm(dim=1, keepdim=True).clamp_min(1e-6)
    shift = shift * (length.clamp(max=_MOST) / length)
    side = torch.linspace(-_REACH, _REACH, _GRID, device=hues.device)
    across, down = ((-(side[:, None] - hues[:, n]).square() / (2 * _BLUR**2)).exp() for n in (0, 1))
    total = torch.stack([(down * shift[:, n]) @ across.T for n in (0, 1)])
    return total / (down @ across.T + _DOUBT)


def move_hues(picture: Tensor, shifts: Tensor) -> Tensor:
    """Move the hues of (3, H, W) in about [-1, 1] by what `find_shifts` found; lightness stays."""
    height, width = picture.shape[1:]
    cells = cell_mean(picture, min(_FIELD_CELL, height, width))
    place = (_hues(cells) / _REACH).permute(1, 2, 0)[None]
    found = functional.grid_sample(
        shifts[None], place, mode="bilinear", padding_mode="border", align_corners=True
    )
    field = functional.interpolate(found, size=(height, width), mode="bilinear")[0]
    return _shifted(picture, field)


def hue_strengths(picture: Tensor) -> Tensor:
    """(OCTAVES,) how much hues of (3, H, W) differ, octave by octave, the finest first."""
    bands = split_bands(_hues(picture)[:, None], _OCTAVES)
    return torch.stack([_strength(band) for band in bands[:-1]])


def strengthen_hues(picture: Tensor, strengths: Tensor) -> Tensor:
    """Make the hues of (3, H, W) differ as much as a style's, and lightness stay.

    Patches are chosen by what a frame has, and fade into each other: planes and dabs of colour
    come out paler than they are in the painting.

    Args:
        picture: A painting of a frame, about [-1, 1].
        strengths: Of the style, from `hue_strengths`.
    """
    hues = _hues(picture)
    bands = split_bands(hues[:, None], _OCTAVES)
    stronger = [
        band * ((wanted + _FAINT) / (_strength(band) + _FAINT)).clamp(1, _MOST_GAIN)
        for band, wanted in zip(bands, strengths, strict=False)
    ]
    return _shifted(picture, join_bands([*stronger, bands[-1]])[:, 0] - hues)


def _strength(band: Tensor) -> Tensor:
    return band.square().mean().sqrt()


def _shifted(picture: Tensor, hues: Tensor) -> Tensor:
    """(3, H, W) with other hues, by (2, H, W)."""
    axes = torch.tensor(_AXES, device=picture.device)
    return picture + (axes.T @ hues.flatten(1)).view_as(picture)


def _hues(picture: Tensor) -> Tensor:
    """(2, H, W) of (3, H, W)."""
    colour = picture - lightness(picture)
    axes = torch.tensor(_AXES, device=picture.device)
    return (axes @ colour.flatten(1)).view(2, *picture.shape[1:])


def _directions(device: torch.device) -> Tensor:
    """(DIRECTIONS, 2): the golden ratio spreads them whatever their number."""
    angles = [number * math.pi * 0.6180339887498949 for number in range(_DIRECTIONS)]
    return torch.tensor([[math.cos(angle), math.sin(angle)] for angle in angles], device=device)


def _spread(values: Tensor, count: int) -> Tensor:
    """So many of (N, ...), at even distances."""
    places = torch.linspace(0, len(values) - 1, count, device=values.device)
    return values[places.round().long()]
