"""Images brought to a size."""

from __future__ import annotations

from typing import Literal, cast

import numpy as np
from PIL import Image

from refvid.media.pixel_conversion import Pixels


def fit_image(
    pixels: Pixels, width: int, height: int, fit: Literal["cover", "contain", "stretch"]
) -> Pixels:
    """Bring an image to a size with a Lanczos filter.

    Args:
        pixels: (H, W, 3) RGB, uint8 or uint16.
        width: Wanted width [pixels].
        height: Wanted height [pixels].
        fit: `cover` fills the size and crops the middle, `contain` shows everything and
            repeats the edge pixels around it, `stretch` ignores the proportions.

    Returns:
        (height, width, 3) of the same type.
    """
    if width < 1 or height < 1:
        raise ValueError(f"an image cannot be fitted to {width}x{height}")
    have_height, have_width = pixels.shape[:2]
    if fit == "stretch":
        return _resize(pixels, width, height)
    if fit == "cover":
        # The part of the source with the wanted proportions, as large as possible.
        part_width = min(have_width, have_height * width / height)
        part_height = min(have_height, have_width * height / width)
        left, top = (have_width - part_width) / 2, (have_height - part_height) / 2
        return _resize(pixels, width, height, (left, top, left + part_width, top + part_height))
    if fit == "contain":
        inner_width = min(width, max(1, round(have_width * height / have_height)))
        inner_height = min(height, max(1, round(have_height * width / have_width)))
        left, top = (width - inner_width) // 2, (height - inner_height) // 2
        border = (
            (top, height - inner_height - top),
            (left, width - inner_width - left),
            (0, 0),
        )
        return cast(
            "Pixels", np.pad(_resize(pixels, inner_width, inner_height), border, mode="edge")
        )
    raise ValueError(f"fit must be cover, contain or stretch, not {fit!r}")


def _resize(
    pixels: Pixels, width: int, height: int, box: tuple[float, float, float, float] | None = None
) -> Pixels:
    if box is None and pixels.shape[:2] == (height, width):
        return pixels
    size = (width, height)
    if pixels.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(pixels))
        resized = image.resize(size, Image.Resampling.LANCZOS, box=box)
        return cast("Pixels", np.array(resized))
    # Pillow has no 16-bit RGB: filter each channel in floating point.
    channels = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(pixels[:, :, channel], dtype=np.float32)).resize(
                size, Image.Resampling.LANCZOS, box=box
            )
        )
        for channel in range(3)
    ]
    return cast("Pixels", np.clip(np.rint(np.stack(channels, axis=-1)), 0, 65535).astype(np.uint16))
