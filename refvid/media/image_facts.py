"""What an image file says of itself; pixels are looked at for transparency only."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Final, cast

from PIL import Image
from PIL.ExifTags import Base

from refvid.media.image import IMAGE_SUFFIXES
from refvid.media.image_marks import PNG_XMP, TIFF_XMP

_TURNED: Final = (5, 6, 7, 8)
_OPAQUE: Final = 255


def read_image_size(path: Path) -> tuple[int, int] | None:
    """Width and height as the image is meant to be seen; None where it cannot be read."""
    facts = _read(path)
    if facts is None:
        return None
    (width, height), exif, _ = facts
    return (height, width) if exif.get(Base.Orientation) in _TURNED else (width, height)


def read_image_comment(path: Path) -> str | None:
    """The description that is stored in an image; None where there is none."""
    facts = _read(path)
    comment = None if facts is None else facts[1].get(Base.ImageDescription)
    return comment if isinstance(comment, str) else None


def read_image_xmp(path: Path) -> bytes:
    """The XMP packet of an image; empty where there is none."""
    facts = _read(path)
    return b"" if facts is None else facts[2]


def is_transparent(path: Path) -> bool:
    """Whether what lies behind an image shows anywhere; False where that cannot be told.

    Its size must have been found bearable: it is decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_formats()) as image:
                if not image.has_transparency_data:
                    return False
                least, _ = cast("Any", image.convert("RGBA").getchannel("A").getextrema())
                return bool(least < _OPAQUE)
    except Exception:  # noqa: BLE001 -- as below
        return False


def _formats() -> list[str]:
    Image.init()
    return sorted({Image.registered_extensions()[suffix] for suffix in IMAGE_SUFFIXES})


def _read(path: Path) -> tuple[tuple[int, int], Image.Exif, bytes] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_formats()) as image:
                return image.size, image.getexif(), _xmp(image)
    # Pillow reports damage with whatever the parsing code ran into.
    except Exception:  # noqa: BLE001
        return None


def _xmp(image: Image.Image) -> bytes:
    found = image.info.get("xmp") or image.info.get(PNG_XMP) or b""
    if image.format == "TIFF":
        found = cast("Any", image).tag_v2.get(TIFF_XMP) or b""
    return found.encode("utf-8", "replace") if isinstance(found, str) else bytes(found)
