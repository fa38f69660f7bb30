"""Measures of restyled frames: how near to the style, and how near to the input's structure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from refvid.metrics.pairs import check_pair
from refvid.metrics.ssim import plane_similarity

Picture = NDArray[Any]
"""(H, W, 3) RGB, uint8 or uint16 at full scale."""

_LEVELS = 4
"""Scales that patches are taken from: full, 1/2, 1/4 and 1/8 of the size."""

_PATCH = 7
LARGE_PX = 64
"""Side of the patches that see large shapes [pixels]."""

_PROJECTIONS = 128
_MOST_PATCHES = 8192
"""Of one level, spread evenly: bounds time and memory."""

_QUANTILES = 2048
_LEAST_SPREAD = 1e-3
"""So that what a flat style lacks altogether does not count beyond measure."""

_LUMA = (0.2126, 0.7152, 0.0722)
_SMALLEST_SIDE = 11

_REGIONS = 12
"""Rows and columns of regions whose contrast is looked at."""

_FAINT_CONTRAST = 0.5
"""Of a picture of one colour: there is nothing to keep [levels]."""


@dataclass(frozen=True, slots=True)
class StyleSignature:
    """How the patches of a picture are distributed: all that the distances need of it."""

    bands: Tensor
    """(level, projection, quantile) float32: values of projected patches of a Laplacian pyramid,
    ascending; 1 is the whole pixel range."""

    patches: Tensor
    """The same of a Gaussian pyramid, that is of the picture itself at several sizes."""

    shapes: Tensor
    """The same of two octaves whose patches span `LARGE_PX` and twice as many pixels."""


def style_signature(picture: Picture, area: int | None = None) -> StyleSignature:
    """Look at the patches of a frame or of a style image.

    Args:
        picture: (H, W, 3) RGB, uint8 or uint16 at full scale.
        area: Bring it to this many pixels first, proportions kept: a style to the frame's area, so
            that strokes are compared at the size at which they are seen. None leaves it.
    """
    white = float(np.iinfo(picture.dtype).max)
    pixels = torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32) / np.float32(white))
    level = pixels.permute(2, 0, 1)[None]
    if area is not None:
        level = _resize(level, math.sqrt(area / (picture.shape[0] * picture.shape[1])))
    first = level
    bands, patches = [], []
    for index in range(_LEVELS):
        patches.append(_projected_quantiles(level))
        if index == _LEVELS - 1:
            bands.append(patches[-1])
            break
        smaller = _resize(level, 0.5)
        size = level.shape[2:]
        coarse = functional.interpolate(smaller, size=size, mode="bilinear", align_corners=False)
        bands.append(_projected_quantiles(level - coarse))
        level = smaller
    return StyleSignature(torch.stack(bands), torch.stack(patches), _large_shapes(first))


def _large_shapes(picture: Tensor) -> Tensor:
    """(2, projection, quantile) of a picture (1, 3, h, w) in [0, 1]."""
    level = _resize(picture, _PATCH / LARGE_PX)
    shapes = []
    for _ in range(2):
        smaller = _resize(level, 0.5)
        size = level.shape[2:]
        coarse = functional.interpolate(smaller, size=size, mode="bilinear", align_corners=False)
        shapes.append(_projected_quantiles(level - coarse))
        level = smaller
    return torch.stack(shapes)


def style_distance(picture: StyleSignature, style: StyleSignature) -> float:
    """Sliced Wasserstein distance between patches at several scales, in spreads of the style's.

    Patches of 7x7 pixels in RGB, of the three finest bands of a Laplacian pyramid and of what is
    left below, are projected on 128 fixed random directions. For each direction the Wasserstein-1
    distance of the two sets of numbers, the mean difference of their quantiles, is divided by the
    standard deviation of the style's. So strokes, whose differences are small numbers, count as
    much as colours, and a tint alone does not reach a style. Where things are in a picture plays
    no part.

    Rabin et al. 2011, "Wasserstein barycenter and its application to texture mixing"; for patches,
    Elnekave & Weiss 2022, "Generating natural images with direct patch distributions matching".

    Returns:
        0 for equal distributions, 1 where they differ by a standard deviation of the style's.
    """
    return _relative(picture.bands, style.bands)


def _relative(ours: Tensor, theirs: Tensor) -> float:
    """Mean difference of quantiles, in spreads of theirs."""
    difference = (ours - theirs).abs().mean(-1)
    spread = theirs.std(-1, correction=0) + _LEAST_SPREAD
    return float((difference / spread).mean(dtype=torch.float64))


def large_distance(picture: StyleSignature, style: StyleSignature) -> float:
    """`style_distance` of large shapes: patches of 64 and of 128 pixels.

    Swirls and planes, without what is smaller than a ninth of a patch, and without colours over
    larger areas, which `patch_distance` tells.
    """
    return _relative(picture.shapes, style.shapes)


def patch_distance(picture: StyleSignature, style: StyleSignature) -> float:
    """The same of plain patches and without weights; 1 is the whole pixel range.

    Mostly a matter of colours: nearly all that RGB patches differ by is their mean.

    Returns:
        0 for equal distributions; between a picture and the same one made brighter by d, about
        0.8 d.
    """
    return float((picture.patches - style.patches).abs().mean(dtype=torch.float64))


def structure_similarity(
    picture: Picture, reference: Picture, *, match_contrast: bool = False
) -> float:
    """SSIM of the gradient maps of two pictures: whether edges are where they were.

    The maps are Sobel gradient magnitudes of luma (BT.709 weights), scaled as in scikit-image: 255
    is the largest. SSIM has the window and constants of `quality.picture.ssim`.

    Args:
        picture: (H, W, 3) RGB, uint8 or uint16 at full scale, at least 11 pixels a side.
        reference: Of the same shape and type.
        match_contrast: First scale the picture's map to the mean of the reference's, so that flat
            or hard rendering of the same edges does not count.

    Raises:
        ValueError: Shapes or types differ, or the picture is too small.
    """
    check_pair(picture, reference)
    if min(picture.shape[:2]) < _SMALLEST_SIDE:
        raise ValueError(f"a side of {picture.shape[:2]} is shorter than {_SMALLEST_SIDE} pixels")
    x, y = _gradient_map(picture), _gradient_map(reference)
    if match_contrast:
        x = x * (y.mean() / x.mean().clamp_min(1e-6))
    return plane_similarity(x, y)


def contrast_kept(picture: Picture, reference: Picture) -> float:
    """How much of the light and dark within regions is left, relative to the picture's contrast.

    In each of 12x12 regions, seen at a quarter of the size, the lightness of the picture is
    compared with the reference's by regression: its slope is 1 where their order and strength are
    the same, 0 where nothing of the reference is left, and negative where light and dark have
    changed places. Slopes are divided by the ratio of the contrasts of the whole pictures, so that
    a softer or harder palette does not count, and cut at 1. Regions count by their contrast over
    the frame's own, so that a person in fog counts as much as one in the sun.

    Args:
        picture: (H, W, 3) RGB, uint8 or uint16 at full scale, at least 11 pixels a side.
        reference: Of the same shape and type.

    Returns:
        At most 1; 1 where the reference has no contrast at all.

    Raises:
        ValueError: Shapes or types differ, or the picture is too small.
    """
    check_pair(picture, reference)
    if min(picture.shape[:2]) < _SMALLEST_SIDE:
        raise ValueError(f"a side of {picture.shape[:2]} is shorter than {_SMALLEST_SIDE} pixels")
    x, y = (functional.avg_pool2d(_luma(p)[None, None], 4)[0, 0] for p in (picture, reference))
    whole_x, whole_y = x.std(correction=0), y.std(correction=0)
    if whole_y < _FAINT_CONTRAST:
        return 1.0
    ratio = (whole_x / whole_y).clamp_min(1e-3)
    kept, weights = [], []
    for ours, theirs in zip(_regions(x), _regions(y), strict=True):
        a, b = ours - ours.mean(), theirs - theirs.mean()
        variance = b.square().mean()
        kept.append(((a * b).mean() / (variance + 1e-6) / ratio).clamp(-1, 1))
        weights.append((variance.sqrt() / whole_y).clamp(max=1))
    weight = torch.stack(weights)
    return float((torch.stack(kept) * weight).sum() / weight.sum().clamp_min(1e-6))


def _regions(plane: Tensor) -> list[Tensor]:
    rows = plane.tensor_split(min(_REGIONS, plane.shape[0] // 2))
    return [part for row in rows for part in row.tensor_split(min(_REGIONS, row.shape[1] // 2), 1)]


def _luma(picture: Picture) -> Tensor:
    """(H, W) BT.709 luma, 255 at most."""
    white = float(np.iinfo(picture.dtype).max)
    pixels = torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32))
    return pixels @ pixels.new_tensor(_LUMA) * (255 / white)


def _projected_quantiles(planes: Tensor) -> Tensor:
    """(1, 3, h, w) in [0, 1] -> (projection, quantile): values of the projected patches."""
    patches = planes[0].unfold(1, _PATCH, 1).unfold(2, _PATCH, 1)  # (3, rows, columns, 7, 7)
    rows, columns = _positions(patches.shape[1], patches.shape[2])
    chosen = patches[:, rows, columns].permute(1, 0, 2, 3).flatten(1)  # (N, 147)
    values = np.ascontiguousarray((chosen @ _directions().T).T.numpy())
    values.sort(axis=1)  # (projection, N); NumPy sorts floats 4 times faster than torch
    steps = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    return torch.from_numpy(values[:, (steps * values.shape[1]).astype(int)])


def _positions(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Corners of the patches to look at: all, or many spread evenly, always the same."""
    if rows * columns <= _MOST_PATCHES:
        every = torch.arange(rows * columns)
        return every // columns, every % columns
    # Roberts' R2 sequence: no generator whose stream may change with a library.
    count = torch.arange(_MOST_PATCHES, dtype=torch.float64)
    plastic = 1.32471795724474602596
    return (
        ((count / plastic).frac() * rows).long(),
        ((count / plastic**2).frac() * columns).long(),
    )


@cache
def _directions() -> Tensor:
    """(projection, 147) unit vectors."""
    # The one generator of NumPy whose stream never changes.
    vectors = np.random.RandomState(0).standard_normal((_PROJECTIONS, 3 * _PATCH**2))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return torch.from_numpy(vectors.astype(np.float32))


def _resize(planes: Tensor, factor: float) -> Tensor:
    """Smaller or larger without aliasing, at least as large as a patch."""
    height, width = (max(round(side * factor), _PATCH) for side in planes.shape[2:])
    if (height, width) == tuple(planes.shape[2:]):
        return planes
    return functional.interpolate(
        planes, size=(height, width), mode="bicubic", antialias=True, align_corners=False
    ).clamp(0, 1)


def _gradient_map(picture: Picture) -> Tensor:
    """(1, H, W) Sobel magnitudes of luma, at most 255."""
    luma = _luma(picture)
    padded = functional.pad(luma[None, None], (1, 1, 1, 1), mode="replicate")
    smooth, edge = padded.new_tensor([0.25, 0.5, 0.25]), padded.new_tensor([1.0, 0.0, -1.0])
    kernels = torch.stack([torch.outer(edge, smooth), torch.outer(smooth, edge)])[:, None]
    slopes = functional.conv2d(padded, kernels)[0]
    return slopes.square().mean(0, keepdim=True).sqrt()
