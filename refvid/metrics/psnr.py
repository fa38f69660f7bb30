"""PSNR, from the mean squared error of two pictures; pictures and masks are as in `pairs`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.metrics.pairs import Mask, check_mask, check_pair

_SQUARES = {np.dtype(np.uint8): np.uint16, np.dtype(np.uint16): np.uint32}
"""What holds the squares of a type's values."""


def mean_square_error(
    picture: NDArray[Any], reference: NDArray[Any], mask: Mask | None = None
) -> float:
    """Mean squared difference over pixels and colours; 1 is the whole pixel range, squared.

    Without a mask the sum is exact.

    Args:
        picture: (..., H, W, 3) RGB, uint8 or uint16 at full scale.
        reference: Of the same shape and type.
        mask: (H, W) weights of the pixels.

    Raises:
        ValueError: Shapes or types differ; `EmptyMask`: it is.
    """
    check_pair(picture, reference)
    peak = float(np.iinfo(picture.dtype).max)
    if mask is None and picture.dtype == np.uint8:
        return _sum_of_squares(_flat(picture), _flat(reference)) / (picture.size * peak**2)
    # Unsigned and exact: a third of the time of floats.
    difference = np.maximum(picture, reference) - np.minimum(picture, reference)
    squares = np.multiply(difference, difference, dtype=_SQUARES[picture.dtype])
    if mask is None:
        return int(squares.sum(dtype=np.uint64)) / (picture.size * peak**2)
    check_mask(mask, picture.shape)
    per_pixel = squares.sum(axis=-1, dtype=np.float32)
    weighted = float(np.multiply(per_pixel, mask).mean(dtype=np.float64))
    return weighted / float(mask.mean(dtype=np.float64)) / 3 / peak**2


def _flat(pictures: NDArray[Any]) -> NDArray[Any]:
    """(..., H, W, 3) -> two dimensions, a row of pixels each."""
    return pictures.reshape(-1, pictures.shape[-2] * pictures.shape[-1])


def _sum_of_squares(one: NDArray[Any], other: NDArray[Any]) -> int:
    # OpenCV squares a root, which is off by less than half of one step.
    return round(cv2.norm(one, other, cv2.NORM_L2SQR))


def psnr_of(mean_square: float) -> float:
    """Peak signal-to-noise ratio [dB] of a `mean_square_error`; infinity for 0."""
    return math.inf if mean_square == 0 else -10 * math.log10(mean_square)


def psnr(picture: NDArray[Any], reference: NDArray[Any], mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio [dB] over all pixels and colours.

    Args:
        picture: (..., H, W, 3) RGB, uint8 or uint16 at full scale.
        reference: Of the same shape and type.
        mask: (H, W) weights of the pixels.

    Returns:
        Infinity where both are equal.

    Raises:
        ValueError: Shapes or types differ; `EmptyMask`: it is.
    """
    return psnr_of(mean_square_error(picture, reference, mask))


def psnr_of_planes(picture: Sequence[NDArray[Any]], reference: Sequence[NDArray[Any]]) -> float:
    """Do what `psnr` does, with 8-bit pictures whose colours are (H, W) arrays of their own."""
    total = sum(_sum_of_squares(*colours) for colours in zip(picture, reference, strict=True))
    return psnr_of(total / (sum(colour.size for colour in picture) * 255.0**2))
