"""The display matrix of phone video: from a tag to turned pixels."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import av
import numpy as np

from refvid.media.pixel_conversion import Pixels

_ALMOST_ZERO: Final = 2**9
"""Of a matrix whose 1 is 2**16: half a degree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """How decoded pixels become the picture as shown: mirrored first, then turned."""

    quarter_turns: int = 0
    """Counter-clockwise quarter turns, 0 to 3."""

    is_mirrored: bool = False
    """Left and right are swapped before turning."""

    is_exact: bool = field(default=True, compare=False)
    """Whether the video is to be turned just so, and not by another angle nearby."""

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height change places."""
        return self.quarter_turns % 2 == 1

    def apply(self, pixels: Pixels) -> Pixels:
        """Turn (H, W, 3) pixels as they are shown."""
        if self.is_mirrored:
            pixels = pixels[:, ::-1]
        return cast("Pixels", np.ascontiguousarray(np.rot90(pixels, self.quarter_turns)))


def read_orientation(picture: av.VideoFrame) -> Orientation:
    """Read a picture's display matrix, to the nearest quarter turn."""
    try:
        # PyAV's type stubs know only one kind of side data.
        side_data: Mapping[str, Any] = cast("Any", picture.side_data)
    except ValueError:
        # PyAV shows none of it where it does not know a kind, but still the angle.
        return Orientation(quarter_turns=round(picture.rotation / 90) % 4)
    data = side_data.get("DISPLAYMATRIX")
    if data is None:
        return Orientation()
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data)[:36])
    # Pixel (x, y) is shown at (a x + c y, b x + d y), with y downwards.
    is_mirrored = a * d - b * c < 0
    if is_mirrored:
        a, b = -a, -b
    turns = (0 if a >= 0 else 2) if abs(a) >= abs(b) else (3 if b > 0 else 1)
    # The matrix of a quarter turn has two zeros.
    is_exact = sum(abs(entry) > _ALMOST_ZERO for entry in (a, b, c, d)) == 2
    return Orientation(quarter_turns=turns, is_mirrored=is_mirrored, is_exact=is_exact)
