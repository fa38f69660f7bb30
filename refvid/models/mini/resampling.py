"""Shrinking pictures without aliasing, and sampling them at any place."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""

Places = NDArray[np.float32]
"""(H, W, 2) x, y [pixels]; a pixel's centre has whole numbers."""


def shrink_to_area(picture: Picture, area: int) -> Picture:
    """Make a picture no larger than `area` pixels; smaller ones stay as they are."""
    height, width = picture.shape[:2]
    return shrink_by(picture, math.sqrt(height * width / area))


def shrink_by(picture: Picture, factor: float) -> Picture:
    """Shrink both sides by a factor, averaging; factors up to 1 change nothing."""
    if factor <= 1:
        return picture
    height, width = picture.shape[:2]
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def sample(picture: Picture, places: Places, interpolation: int) -> Picture:
    """Values of a picture at places (H, W, 2) x, y; its border goes on outside of it.

    Also for a gray picture or a mask (h, w).
    """
    return np.asarray(_remap(picture, places, interpolation), np.uint8)


def sample_smooth(values: NDArray[np.float32], places: Places) -> NDArray[np.float32]:
    """Linear interpolation of values (h, w, C) at places, in steps of 1/32 of their distance."""
    return np.asarray(_remap(values, places, cv2.INTER_LINEAR), np.float32)


def _remap(values: NDArray[Any], places: Places, interpolation: int) -> NDArray[Any]:
    remapped = cv2.remap(  # type: ignore[call-overload]  # its stubs do not know a missing map2
        values, places, None, interpolation, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(remapped)
