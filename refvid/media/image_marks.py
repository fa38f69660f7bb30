"""What is stored in an image file beside its pixels: how a result says how it was made."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final, Self

from PIL import Image, PngImagePlugin
from PIL.ExifTags import Base

from refvid.media.source_type import SourceType, xmp_packet

_PNG_START: Final = 33
"""Signature and header chunk [bytes]."""

PNG_XMP: Final = "XML:com.adobe.xmp"
TIFF_XMP: Final = 700


@dataclass(frozen=True, slots=True)
class ImageMarks:
    """A line of text and an XMP packet."""

    exif: Image.Exif
    xmp: bytes

    @classmethod
    def of(cls, comment: str, source_type: SourceType) -> Self:
        """Say these; what is not ASCII in the comment is escaped, as EXIF wants it."""
        exif = Image.Exif()
        exif[Base.ImageDescription] = plain_comment(comment)
        return cls(exif, xmp_packet(source_type))

    def save_options(self, image_format: str) -> dict[str, Any]:
        """How Pillow writes them."""
        options: dict[str, Any] = {"exif": self.exif.tobytes()}
        if image_format == "PNG":
            chunks = PngImagePlugin.PngInfo()
            chunks.add_itxt(PNG_XMP, self.xmp.decode())
            return options | {"pnginfo": chunks}
        if image_format == "TIFF":
            exif = Image.Exif()
            exif.load(self.exif.tobytes())
            exif[TIFF_XMP] = self.xmp
            return {"exif": exif}
        return options | {"xmp": self.xmp} if image_format in ("JPEG", "WEBP", "AVIF") else options

    def add_to_png(self, png: bytes) -> bytes:
        """Put them into a PNG file that has none."""
        text = PNG_XMP.encode() + b"\0\0\0\0\0" + self.xmp
        chunks = _chunk(b"eXIf", self.exif.tobytes().removeprefix(b"Exif\0\0"))
        return png[:_PNG_START] + chunks + _chunk(b"iTXt", text) + png[_PNG_START:]


def plain_comment(comment: str) -> str:
    """A description as it comes back from an image."""
    return comment.encode("ascii", "backslashreplace").decode()


def _chunk(name: bytes, data: bytes) -> bytes:
    content = name + data
    return struct.pack(">I", len(data)) + content + struct.pack(">I", zlib.crc32(content))
