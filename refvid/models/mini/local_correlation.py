"""How alike two aligned pictures are, place by place, whatever their brightness and contrast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Plain = NDArray[np.float32]
"""(H, W) gray levels."""

BLOCK = 16
"""Side of the compared squares [pixels]."""

_BLUR_PX = 1.5
"""Both pictures are compared without what compression and scaling take away."""

_TEXTURE = 4.0
"""Blocks whose standard deviation is smaller say nothing [levels]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCorrelation:
    """Normalised cross-correlation of squares of 16 pixels."""

    values: NDArray[np.float32]
    """(rows, columns) in -1 to 1; 0 where nothing can be said."""

    textured: NDArray[np.bool_]
    """(rows, columns) whether the frame has something to compare, and the view shows it all."""

    @property
    def mean(self) -> float:
        """Over textured blocks; 0 without any."""
        return float(self.values[self.textured].mean()) if self.textured.any() else 0.0


def soften(gray: NDArray[np.uint8]) -> Plain:
    """Prepare a gray picture for `correlate_blocks`."""
    return np.asarray(cv2.GaussianBlur(gray.astype(np.float32), (0, 0), _BLUR_PX), np.float32)


def find_moments(
    one: Plain, other: Plain, mean: Callable[[Plain], Plain]
) -> tuple[Plain, Plain, Plain]:
    """Variances of two pictures, and their covariance, in the windows that `mean` averages over.

    The pictures have values around 0: away from it, variances of float32 lose their digits.
    """
    mean_one, mean_other = mean(one), mean(other)
    return (
        np.maximum(mean(one * one) - mean_one**2, 0),
        np.maximum(mean(other * other) - mean_other**2, 0),
        mean(one * other) - mean_one * mean_other,
    )


def correlate_blocks(
    view: Plain, frame: Plain, shown: NDArray[np.bool_], *, step: int = BLOCK
) -> LocalCorrelation:
    """Compare softened pictures (H, W) around the centres of squares of `step` pixels."""
    half = step // 2

    def mean(values: Plain) -> Plain:
        return np.asarray(cv2.boxFilter(values, -1, (BLOCK, BLOCK))[half::step, half::step])

    view_variance, frame_variance, covariance = find_moments(view - 128, frame - 128, mean)
    textured = (frame_variance > _TEXTURE**2) & (mean(shown.astype(np.float32)) > 0.999)
    # A plain view of a textured frame is unlike it: the floor keeps noise from deciding.
    deviation = np.sqrt(np.maximum(view_variance, 1) * np.maximum(frame_variance, 1))
    values = np.where(textured, covariance / deviation, 0)
    return LocalCorrelation(values=values.astype(np.float32), textured=textured)
