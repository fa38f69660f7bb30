"""Dense motion between gray pictures, and what lies at the other end of it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
"""(H, W, 2): x and y [pixels]."""

_NOTHING: Any = None
"""What the stubs do not know to stand for a new array, or for no second map."""


def search_flow(
    now: NDArray[np.uint8],
    other: NDArray[np.uint8],
    preset: int,
    *,
    finest: int | None = None,
    stride: int | None = None,
) -> Map:
    """Where every pixel of a gray picture (H, W) lies in another one, from its own place.

    Dense inverse search (Kroeger et al., ECCV 2016).

    Args:
        now: The picture.
        other: The other one.
        preset: One of OpenCV's.
        finest: Halvings of the pictures that the search ends with; None: the preset's.
        stride: From one patch of 8x8 pixels to the next [pixels]; None: the preset's.
    """
    # A new one each time: what one has found before shows in its next result.
    search = cv2.DISOpticalFlow.create(preset)
    if finest is not None:
        search.setFinestScale(finest)
    if stride is not None:
        search.setPatchStride(stride)
    return np.asarray(search.calc(now, other, _NOTHING), np.float32)


def pixel_places(height: int, width: int) -> Map:
    """Every pixel's own place: (H, W, 2)."""
    places = np.empty((height, width, 2), np.float32)
    places[..., 0], places[..., 1] = np.arange(width), np.arange(height)[:, None]
    return places


def sample_at(values: NDArray[Any], places: Map, interpolation: int = cv2.INTER_LINEAR) -> Any:
    """Values (h, w) or (h, w, C) at places (H, W, 2); their border goes on outside of them."""
    return cv2.remap(values, places, _NOTHING, interpolation, borderMode=cv2.BORDER_REPLICATE)
