"""Pictures for whatever knows sRGB alone."""

from __future__ import annotations

from pathlib import Path

from refvid.media.domain import bring_to_srgb
from refvid.media.image import read_still
from refvid.media.pixel_conversion import Pixels


def read_srgb(path: Path, *, may_shrink: bool = False) -> Pixels:
    """Read an image as `read_image` does, and PNG and AVIF of HDR or a wide gamut as sRGB.

    Raises:
        InputError: See `read_image`.
    """
    still = read_still(path, may_shrink=may_shrink)
    return still.pixels if still.color is None else bring_to_srgb(still.pixels, still.color)
