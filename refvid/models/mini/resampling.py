"""Shrinking pictures without aliasing, and sampling them at any place."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.models.dense_flow import sample_at

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""

Places = NDArray[np.float32]
"""(H, W, 2) x, y [pixels]; a pixel's centre has whole numbers."""

_KEPT_SCALE = 1.5
"""Very large pictures are shrunk until they have so many pixels per sample along a line."""

_BLUR_PER_SCALE = 0.45
"""Standard deviation of the blur for a scale, which grows like that of adding variances."""


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


def limit_detail(picture: Picture, scale: float) -> Picture:
    """Take away the detail that a picture `scale` times as small cannot hold.

    Sampled at every `scale`-th pixel, the result does not alias. It keeps more pixels than that,
    since shrinking to the final size and sampling between its pixels would blur twice (1 to 8 dB
    on a photo of 1.3 to 2 times a frame's resolution).
    """
    if scale <= 1:
        return picture
    whole = math.floor(scale / _KEPT_SCALE)
    if whole > 1:
        before = picture.shape[1]
        picture = shrink_by(picture, whole)
        scale *= picture.shape[1] / before
    blur_px = _BLUR_PER_SCALE * math.sqrt(max(scale**2 - 1, 0))
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), blur_px), np.uint8)


def sample(picture: Picture, places: Places, interpolation: int) -> Picture:
    """Values of a picture at places (H, W, 2) x, y; its border goes on outside of it.

    Also for a gray picture or a mask (h, w).
    """
    return np.asarray(sample_at(picture, places, interpolation), np.uint8)


def sample_smooth(values: NDArray[np.float32], places: Places) -> NDArray[np.float32]:
    """Linear interpolation of values (h, w, C) at places, in steps of 1/32 of their distance."""
    return np.asarray(sample_at(values, places, cv2.INTER_LINEAR), np.float32)
