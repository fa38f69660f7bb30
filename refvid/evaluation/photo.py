"""The same moment through another camera: what a photograph of it would look like.

Six fixed variants of a frame, of six changes, two at a time, so that each change occurs twice.
What a photograph would show beyond the frame's border is not known: there the picture is
mirrored, which looks like a picture and helps nobody. Detail that a zoomed photograph would have
more than the frame is not there either.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from refvid.evaluation.rebuilding import Picture


def photograph(frame: Picture, variant: str) -> Picture:
    """A frame as another camera would have it.

    Args:
        frame: (H, W, 3).
        variant: One of `PHOTO_VARIANTS`.

    Returns:
        (h, w, 3): of another size where the variant says so.
    """
    for change in PHOTO_VARIANTS[variant]:
        frame = change(frame)
    return frame


def _farther(frame: Picture) -> Picture:
    """Zoom 0.8: the frame takes up the middle four fifths."""
    return _moved(frame, scale=0.8)


def _nearer(frame: Picture) -> Picture:
    """Zoom 1.3: the middle of the frame alone."""
    return _moved(frame, scale=1.3)


def _turned(frame: Picture) -> Picture:
    return _moved(frame, degrees=5.0)


def _square(frame: Picture) -> Picture:
    """The middle square."""
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(frame[top : top + side, left : left + side])


def _relit(frame: Picture) -> Picture:
    """A fifth more exposure, and warmer; what is too bright is clipped."""
    gain = 1.2 * np.array([1.1, 1.0, 0.88])
    return (frame * gain).round().clip(0, 255).astype(np.uint8)


def _large_jpeg(frame: Picture) -> Picture:
    """One and a half times the size, as a JPEG file of quality 80."""
    size = (round(frame.shape[1] * 1.5), round(frame.shape[0] * 1.5))
    file = io.BytesIO()
    Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=80)
    return np.asarray(Image.open(file))


def _moved(frame: Picture, scale: float = 1.0, degrees: float = 0.0) -> Picture:
    """Zoomed and turned about the middle, of the same size."""
    height, width = frame.shape[:2]
    margin = min(height, width) // 4
    mirrored = np.pad(frame, ((margin, margin), (margin, margin), (0, 0)), "reflect")
    angle = math.radians(degrees)
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    x, y = width / 2, height / 2
    matrix = (
        cos, -sin, x - cos * x + sin * y + margin,
        sin, cos, y - sin * x - cos * y + margin,
    )  # fmt: skip
    moved = Image.fromarray(mirrored).transform(
        (width, height), Image.Transform.AFFINE, matrix, resample=Image.Resampling.BICUBIC
    )
    return np.asarray(moved)


PHOTO_VARIANTS: dict[str, tuple[Callable[[Picture], Picture], Callable[[Picture], Picture]]] = {
    "zoom 0.8, turned": (_farther, _turned),
    "zoom 1.3, turned": (_nearer, _turned),
    "zoom 1.3, square": (_nearer, _square),
    "square, relit": (_square, _relit),
    "relit, large JPEG": (_relit, _large_jpeg),
    "zoom 0.8, large JPEG": (_farther, _large_jpeg),
}
"""By name: zoom 0.8 or 1.3, turned by 5 degrees, cropped to 1:1, exposure and white balance, and
1.5 times the size as JPEG 80."""
