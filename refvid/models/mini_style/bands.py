"""A picture as octaves of detail, from fine to coarse, and what remains below them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

_TAPS = (0.125, 0.375)
"""Of the far and the near two of four pixels, around the corner that they share: halves lie where
bilinear doubling puts them back."""

_LUMA = (0.299, 0.587, 0.114)


def lightness(pictures: Tensor) -> Tensor:
    """Luma (..., 1, H, W) of pictures (..., 3, H, W)."""
    red, green, blue = pictures.unbind(-3)
    return (red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2]).unsqueeze(-3)


def split_bands(planes: Tensor, count: int) -> list[Tensor]:
    """`count` octaves of (N, 1, H, W), each half as large as the one before, and what remains."""
    bands = []
    for _ in range(count):
        coarse = halve(planes)
        bands.append(planes - enlarge(coarse, planes.shape[2:]))
        planes = coarse
    return [*bands, planes]


def join_bands(bands: Sequence[Tensor]) -> Tensor:
    """Undo `split_bands`."""
    planes = bands[-1]
    for band in reversed(bands[:-1]):
        planes = band + enlarge(planes, band.shape[2:])
    return planes


def halve(planes: Tensor) -> Tensor:
    """(N, 1, H, W) -> (N, 1, H/2, W/2), rounded up."""
    height, width = planes.shape[2:]
    padded = functional.pad(planes, (1, 1 + width % 2, 1, 1 + height % 2), mode="replicate")
    far, near = _TAPS
    down = far * (padded[..., :-3:2, :] + padded[..., 3::2, :])
    down += near * (padded[..., 1:-2:2, :] + padded[..., 2:-1:2, :])
    across = far * (down[..., :-3:2] + down[..., 3::2])
    across += near * (down[..., 1:-2:2] + down[..., 2:-1:2])
    return across


def enlarge(planes: Tensor, size: Sequence[int]) -> Tensor:
    """Twice as large, of which the first `size` (height, width) are kept."""
    double = functional.interpolate(planes, scale_factor=2, mode="bilinear", align_corners=False)
    return double[..., : size[0], : size[1]]


def blurred(planes: Tensor, cell: int) -> Tensor:
    """What is much larger than `cell` pixels: (N, C, H, W), means of cells with fades between."""
    height, width = planes.shape[2:]
    means = functional.avg_pool2d(planes, cell, ceil_mode=True, count_include_pad=False)
    large = functional.interpolate(means, scale_factor=cell, mode="bilinear", align_corners=False)
    return large[..., :height, :width]
