"""Pictures that say of themselves that they are HDR or have a wide gamut."""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from refvid.media.color import ColorInfo
from refvid.media.pixel_conversion import RgbWriter


def write_png(path: Path, pixels: np.ndarray, transfer: int, primaries: int) -> Path:
    """A PNG of 8 or 16 bits with the chunk cICP."""
    if pixels.dtype == np.uint8:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        encoded = buffer.getvalue()
    else:
        context: Any = av.CodecContext.create("png", "w")
        context.height, context.width = pixels.shape[:2]
        context.pix_fmt, context.time_base = "rgb48be", Fraction(1)
        picture = av.VideoFrame.from_ndarray(pixels, "rgb48le").reformat(format="rgb48be")
        encoded = b"".join(map(bytes, [*context.encode(picture), *context.encode(None)]))
    content = b"cICP" + bytes((primaries, transfer, 0, 1))
    chunk = struct.pack(">I", 4) + content + struct.pack(">I", zlib.crc32(content))
    path.write_bytes(encoded[:33] + chunk + encoded[33:])
    return path


def write_avif(path: Path, codes: np.ndarray, transfer: int, primaries: int) -> Path:
    """Ten bits of 4:2:0."""
    color = ColorInfo(matrix=9, range=2, primaries=primaries, transfer=transfer)
    with av.open(str(path), "w", format="avif") as container:
        stream: Any = container.add_stream("libsvtav1", rate=1, options={"crf": "2"})
        stream.height, stream.width = codes.shape[:2]
        stream.pix_fmt = "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries = transfer, primaries
        context.colorspace, context.color_range = 9, 2
        container.mux(stream.encode(RgbWriter("yuv420p10le", color).write(codes)))
        container.mux(stream.encode(None))
    return path
