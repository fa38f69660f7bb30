"""A line of text stored in an image file: how a result says how it was made."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from PIL import Image
from PIL.ExifTags import Base

_PNG_START: Final = 33
"""Signature and header chunk [bytes]."""


def comment_exif(comment: str) -> bytes:
    """A description as EXIF data for Pillow; what is not ASCII is escaped, as EXIF wants it."""
    exif = Image.Exif()
    exif[Base.ImageDescription] = plain_comment(comment)
    return exif.tobytes()


def plain_comment(comment: str) -> str:
    """A description as it comes back from an image."""
    return comment.encode("ascii", "backslashreplace").decode()


def add_to_png(png: bytes, exif: bytes) -> bytes:
    """Put EXIF data into a PNG file that has none."""
    data = exif.removeprefix(b"Exif\0\0")
    chunk = b"eXIf" + data
    chunk = struct.pack(">I", len(data)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:_PNG_START] + chunk + png[_PNG_START:]
