"""Pictures of more than 8 bits per channel, and of other colours than sRGB, by way of libav.

Pillow cuts both to 8 bits, and does not tell which colours a PNG or AVIF has by its cICP or nclx.
"""

from __future__ import annotations

import struct
from typing import IO, Final, cast

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from refvid.media.color import MATRIX_RGB, RANGE_FULL, ColorInfo, resolve_color
from refvid.media.light import WIDE_PRIMARIES
from refvid.media.picture_color import picture_color
from refvid.media.pixel_conversion import Pixels, RgbReader
from refvid.media.tiff import is_deep_tiff

# Mid-grey: 0 in a model's [-1, 1], and the least striking border on light and dark pictures.
BACKGROUND: Final = 128

_STRIP_PIXELS: Final = 2**20
"""What is converted at once, so that conversions take no memory worth mentioning."""

_PNG_START: Final = 8
_MOST_CHUNKS: Final = 1000


def is_deep_color(image: Image.Image) -> bool:
    """Whether the file holds 16-bit colour, which Pillow would cut to 8 bits."""
    if is_deep_tiff(image) and image.mode != "CMYK":
        return True
    if image.mode not in ("RGB", "RGBA", "LA") or image.format not in ("PNG", "PPM"):
        return False
    for tile in getattr(image, "tile", []):
        raw_mode = tile.args[0] if isinstance(tile.args, tuple) and tile.args else tile.args
        if isinstance(raw_mode, str) and ";16" in raw_mode:
            return True
        if image.format == "PPM" and isinstance(tile.args, tuple) and tile.args[-1] > 255:
            return True
    return False


def find_color(file: IO[bytes], image: Image.Image) -> ColorInfo | None:
    """The colours of an open picture that says of itself that it is HDR or has a wide gamut.

    Returns:
        None for all others, whose profile Pillow knows.
    """
    place = file.tell()
    try:
        color = _find_color(file, str(image.format))
    finally:
        file.seek(place)
    if color is None or not (color.is_hdr or color.primaries in WIDE_PRIMARIES):
        return None
    # HDR's profiles are no ones that Pillow could apply.
    return None if image.info.get("icc_profile") and not color.is_hdr else color


def _find_color(file: IO[bytes], image_format: str) -> ColorInfo | None:
    if image_format == "PNG":
        return _color_of_png(file)
    if image_format != "AVIF":
        return None
    file.seek(0)
    with av.open(file, "r", format="mov") as container:
        context = container.streams.video[0].codec_context
        return ColorInfo(primaries=context.color_primaries, transfer=context.color_trc)


def _color_of_png(file: IO[bytes]) -> ColorInfo | None:
    """What the chunk cICP says: it stands before the pixels, if it is there."""
    file.seek(_PNG_START)
    for _ in range(_MOST_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            return None
        length, name = struct.unpack(">I4s", header)
        if name == b"IDAT":
            return None
        if name == b"cICP" and length == 4:
            primaries, transfer = file.read(2)
            return ColorInfo(
                matrix=MATRIX_RGB, range=RANGE_FULL, primaries=primaries, transfer=transfer
            )
        file.seek(length + 4, 1)
    return None


def decode_colored(file: IO[bytes], image: Image.Image) -> Pixels:
    """The code values of a picture whose colours were found, (H, W, 3), as it is meant to be seen.

    Raises:
        ValueError: It lies in a form that libav does not put together.
    """
    if image.format == "PNG":
        return turn_upright(decode_deep(file, image), image)
    file.seek(0)
    with av.open(file, "r", format="mov") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        picture = next(container.decode(stream))
        color = resolve_color(picture_color(picture, stream), picture.height)
    if (picture.width, picture.height) != image.size:
        raise ValueError("HDR and wide gamuts are not read of AVIF in tiles: save it as PNG")
    return turn_upright(RgbReader(color).read(picture, *image.size), image)


def _decode_with_libav(file: IO[bytes], image: Image.Image) -> av.VideoFrame:
    """The picture alone: the decoder, which holds another copy, is gone."""
    file.seek(0)
    # The open file and not its name, in which libav would see a pattern: `r_%d.png`.
    with av.open(file, "r", format=f"{str(image.format).lower()}_pipe") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # more would hold more pictures
        picture = next(container.decode(stream))
    if (picture.width, picture.height) != image.size:
        raise ValueError("its size is not clear")
    return picture


def decode_deep(
    file: IO[bytes], image: Image.Image, background: int = BACKGROUND
) -> npt.NDArray[np.uint16]:
    """16 bits per channel (H, W, 3), with transparency laid on a grey, 0 to 255."""
    picture = _decode_with_libav(file, image)
    has_alpha = len(picture.format.components) in (2, 4)
    picture = picture.reformat(format="rgba64le" if has_alpha else "rgb48le")
    plane, channels = picture.planes[0], 4 if has_alpha else 3
    lines = np.frombuffer(memoryview(plane), "<u2").reshape(plane.height, plane.line_size // 2)
    given = lines[:, : plane.width * channels].reshape(plane.height, plane.width, channels)
    if not has_alpha:
        return given.copy()
    pixels = np.empty((plane.height, plane.width, 3), np.uint16)
    rows = max(1, _STRIP_PIXELS // plane.width)
    for top in range(0, plane.height, rows):
        strip = given[top : top + rows].astype(np.float32)
        alpha = strip[:, :, 3:] / 65535
        mixed = strip[:, :, :3] * alpha + background * 257 * (1 - alpha)
        pixels[top : top + rows] = np.rint(mixed)
    return pixels


def turn_upright(pixels: Pixels, image: Image.Image) -> Pixels:
    """Turn and mirror (H, W, 3) as EXIF says."""
    orientation = image.getexif().get(0x0112, 1)
    if orientation in (2, 5, 7, 4):  # mirrored
        pixels = pixels[:, ::-1]
    turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return cast("Pixels", np.ascontiguousarray(np.rot90(pixels, turns)))
