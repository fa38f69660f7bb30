"""How a reference of another shape meets the frames of a clip, where the model needs their size."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from refvid.media.fit import fit_image
from refvid.media.pixel_conversion import to_uint8
from refvid.models.mini.alignment import FramePlaced, align, find_coarse, gray
from refvid.rebuild.pixels import Pixels

_SAME_SHAPE = 0.02
"""Difference of the logarithms of width over height below which fits are alike."""


def likelier_fit(
    pixels: Pixels, size: tuple[int, int], first: Callable[[], Pixels | None]
) -> Literal["cover", "contain"]:
    """The fit in which a picture (h, w, 3) is more like the first frame (H, W, 3), once aligned.

    Where there is no frame to compare with, it fills the frame.
    """
    width, height = size
    if _is_shaped_alike(pixels, height, width) or (frame := first()) is None:
        return "cover"
    shades = gray(to_uint8(frame))

    def correlation(fit: Literal["cover", "contain"]) -> float:
        placed = FramePlaced(to_uint8(fit_image(pixels, width, height, fit)))
        coarse = find_coarse(shades, placed.shades)
        return align(shades, placed, coarse).likeness.correlation

    fits: tuple[Literal["cover"], Literal["contain"]] = ("cover", "contain")
    return max(fits, key=correlation)


def _is_shaped_alike(pixels: Pixels, height: int, width: int) -> bool:
    return abs(math.log(pixels.shape[1] / pixels.shape[0] * height / width)) < _SAME_SHAPE
