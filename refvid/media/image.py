"""Single images: references, and the frames of image sequences."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from refvid.errors import InputError, OutputError
from refvid.media.color import ColorInfo
from refvid.media.deep_image import (
    BACKGROUND,
    decode_colored,
    decode_deep,
    find_color,
    is_deep_color,
    turn_upright,
)
from refvid.media.heif import NAME as HEIF
from refvid.media.heif import can_read_heif, is_heif
from refvid.media.image_marks import ImageMarks
from refvid.media.partial_file import partial_file
from refvid.media.pixel_conversion import Pixels, to_uint8, to_uint16
from refvid.media.tiff import check_tiff, is_deep_tiff, is_planar, read_deep_tiff

logger = logging.getLogger(__name__)

_Read = TypeVar("_Read")

# Formats that hold one picture and are decoded without running anything else (EPS would start
# Ghostscript) or opening other files.
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "TGA")
IMAGE_SUFFIXES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".ppm", ".jp2", ".tga"}
)
_MOST_BYTES: Final = 2**28
"""Of a picture's RGB pixels; with what decoders hold, reading takes up to four times as much."""

_WASTEFUL_FORMATS: Final = ("WEBP", "JPEG2000")
"""Their decoders take 16 and 24 bytes for each pixel."""

_MOST_JPEG_PIXELS: Final = 2**27
"""Of a JPEG that may be shrunk: a progressive one is held whole, up to 6 bytes for each pixel."""

_TILE_WIDTH: Final = 322
_TILE_HEIGHT: Final = 323

_STRIP_PIXELS: Final = 2**20
"""What is converted at once, so that conversions take no memory worth mentioning."""

_SAVE_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
    ".avif": {"quality": 95, "subsampling": "4:4:4"},
}
_DEEP_FORMATS: Final = {
    ".png": ("png", "rgb48be"),
    ".tif": ("tiff", "rgb48le"),
    ".tiff": ("tiff", "rgb48le"),
}


DAMAGE: Final = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    MemoryError,
    OverflowError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    ZeroDivisionError,
    RuntimeError,
    av.FFmpegError,
)
"""Pillow's decoders report damage with whatever the parsing code ran into."""


@dataclass(frozen=True, slots=True)
class Still:
    """A picture in its own colours."""

    pixels: Pixels
    """(H, W, 3), uint8 or uint16."""

    color: ColorInfo | None = None
    """Of HDR and wide gamuts, whose code values the pixels are; None: sRGB."""


def read_still(path: Path, *, may_shrink: bool = False) -> Still:
    """Read an image as `read_image` does, but PNG and AVIF of HDR or wide gamut as they are coded.

    Raises:
        InputError: See `read_image`.
    """
    return _read(path, _decode_still, may_shrink=may_shrink)


def read_image(path: Path, *, may_shrink: bool = False, background: int = BACKGROUND) -> Pixels:
    """Read an image as it is meant to be seen.

    EXIF orientation is applied, an ICC profile converted to sRGB, transparency laid on
    a grey, mid-grey by default. Of an animation, the first picture.

    Args:
        path: The file; of its name, nothing is a pattern.
        may_shrink: A JPEG that is too large may be decoded at 1/2, 1/4 or 1/8 of its size, for
            uses where what it shows matters and its size does not.
        background: That grey, 0 to 255.

    Returns:
        (H, W, 3) RGB: uint16 at full scale for images deeper than 8 bits (PNG, TIFF, PPM),
        else uint8.

    Raises:
        InputError: Missing, damaged, too large, or no image (a video, a text).
    """
    return _read(path, partial(_decode, background=background), may_shrink=may_shrink)


def _read(
    path: Path, decode: Callable[[Path, IO[bytes], Image.Image], _Read], *, may_shrink: bool
) -> _Read:
    try:
        with warnings.catch_warnings():
            # Sizes are checked below; odd metadata in a photo is no concern of the user.
            warnings.simplefilter("ignore")
            Image.init()  # else Pillow does not know the rarer ones of these formats
            with path.open("rb") as file:
                formats = [*_FORMATS, HEIF] if is_heif(file) and can_read_heif() else _FORMATS
                with Image.open(file, formats=formats) as image:
                    # Before anything is decoded: a header of a few bytes may ask for gigabytes.
                    _check_size(path, image, may_shrink=may_shrink)
                    return decode(path, file, image)
    except FileNotFoundError as error:
        raise InputError(f"The image {path} does not exist. Check the path.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder, not an image.") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not an image that can be read. {_advice(path)}") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is too large: {_limits()} Make it smaller.") from error
    except DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"Cannot read the image {path}: {reason}. It may be damaged.") from error


def _advice(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
        if is_heif(file):
            return (
                "It is HEIF (HEIC), or a damaged AVIF. Run pip install pillow-heif to read it, or "
                "save it as AVIF, PNG or JPEG first."
            )
    if start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return (
            "It is a damaged TIFF, or one of a rare kind: save it again with 8 or 16 bits per "
            "channel."
        )
    return "Give a PNG, JPEG, WebP, AVIF or TIFF file."


def write_image(path: Path, pixels: Pixels, *, overwrite: bool = True) -> None:
    """Write (H, W, 3) RGB pixels; the file appears when it is whole.

    uint16 pixels stay 16 bits deep in PNG and TIFF and are rounded to 8 bits elsewhere.

    Raises:
        OutputError: The format is not known, or the file cannot be written.
    """
    with partial_file(path, overwrite=overwrite) as partial:
        partial.write_bytes(encode_image(pixels, path))


def encode_image(pixels: Pixels, path: Path, marks: ImageMarks | None = None) -> bytes:
    """Return the bytes of an image file in the format of `path`'s suffix.

    `marks` are stored where the format has a place for them.

    Raises:
        OutputError: The format is not known.
    """
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise OutputError(f"Cannot write {path}: use one of the image formats {known}.")
    if pixels.dtype == np.uint16 and suffix in _DEEP_FORMATS:
        deep = np.ascontiguousarray(pixels, dtype=np.uint16)
        encoded = _encode_deep(deep, *_DEEP_FORMATS[suffix])
        return marks.add_to_png(encoded) if marks and suffix == ".png" else encoded
    buffer = io.BytesIO()
    image_format = Image.registered_extensions()[suffix]
    options = dict(_SAVE_OPTIONS.get(suffix, {}))
    if marks is not None:
        options |= marks.save_options(image_format)
    try:
        Image.fromarray(np.ascontiguousarray(to_uint8(pixels))).save(
            buffer, format=image_format, **options
        )
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"Cannot write {path}: {error}. Use PNG instead.") from error
    return buffer.getvalue()


def _check_size(path: Path, image: Image.Image, *, may_shrink: bool) -> None:
    """Refuse an image whose pixels would not fit, or have its decoder shrink it."""
    width, height = image.size
    is_deep = is_deep_color(image) or image.mode.startswith(("I", "F"))
    most = _MOST_BYTES // (6 if is_deep or image.format in _WASTEFUL_FORMATS else 3)
    if may_shrink and most < width * height <= _MOST_JPEG_PIXELS:
        factor = next((f for f in (2, 4) if -(-width // f) * -(-height // f) <= most), 8)
        # Does nothing but for JPEG.
        image.draft(image.mode, (width // factor, height // factor))
    if max(image.width * image.height, _tile_pixels(image)) > most:
        raise _too_large(path, (width, height))
    if image.size != (width, height):
        logger.info("%s: read as %dx%d, as it is very large", path, *image.size)


def _tile_pixels(image: Image.Image) -> int:
    """Pixels of a TIFF's tile, which may be larger than the picture, and is unpacked whole."""
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(_TILE_WIDTH, 0)) * int(tags.get(_TILE_HEIGHT, 0))


def _too_large(path: Path, size: tuple[int, int]) -> InputError:
    return InputError(f"{path} is too large ({size[0]}x{size[1]}): {_limits()} Make it smaller.")


def _limits() -> str:
    return (
        f"refvid reads up to {_MOST_BYTES // 3_000_000} megapixels, and up to "
        f"{_MOST_BYTES // 6_000_000} with 16 bits per channel or as WebP or JPEG 2000."
    )


def _decode_still(path: Path, file: IO[bytes], image: Image.Image) -> Still:
    color = find_color(file, image)
    if color is None:
        return Still(_decode(path, file, image))
    if image.width * image.height > _MOST_BYTES // 6:
        raise _too_large(path, image.size)
    logger.info("%s: %s in %s", path, color.transfer_name, color.primaries_name)
    return Still(decode_colored(file, image), color)


def _decode(
    path: Path, file: IO[bytes], image: Image.Image, *, background: int = BACKGROUND
) -> Pixels:
    profile = image.info.get("icc_profile")
    check_tiff(image)
    if is_deep_color(image):
        if profile:
            logger.warning("%s: its colour profile is ignored, as it has 16 bits per channel", path)
        if is_deep_tiff(image) and not is_planar(image):
            return read_deep_tiff(path, image, background)
        return turn_upright(decode_deep(file, image, background), image)
    ImageOps.exif_transpose(image, in_place=True)
    is_gray16 = image.mode.startswith("I")
    pixels = np.empty((image.height, image.width, 3), np.uint16 if is_gray16 else np.uint8)
    to_srgb = _SrgbConversion(path, profile)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        strip = image.crop((0, top, image.width, bottom))
        pixels[top:bottom] = _strip_pixels(strip, to_srgb, background)
    return pixels


def _strip_pixels(
    strip: Image.Image, to_srgb: _SrgbConversion, background: int
) -> npt.NDArray[Any]:
    if strip.mode.startswith("I"):
        gray: npt.NDArray[Any] = np.asarray(strip).clip(0, 65535)
        return gray[:, :, np.newaxis]
    if strip.mode == "F":
        gray = np.nan_to_num(np.asarray(strip)).clip(0, 255)
        return gray[:, :, np.newaxis]
    alpha = None
    if strip.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in strip.info:
        strip = strip.convert("RGBA")
        alpha = strip.getchannel("A")
        strip = strip.convert("RGB")
    colors = to_srgb(strip)
    if alpha is not None:
        plain = Image.new("RGB", colors.size, (background,) * 3)
        colors = Image.composite(colors, plain, alpha)
    return np.asarray(colors)


class _SrgbConversion:
    """Brings an image's strips to sRGB; says once that its profile cannot be used."""

    def __init__(self, path: Path, profile: bytes | None) -> None:
        self._path, self._profile = path, profile

    def __call__(self, strip: Image.Image) -> Image.Image:
        if strip.mode in ("P", "1", "HSV"):
            strip = strip.convert("RGB")
        if self._profile:
            try:
                converted = ImageCms.profileToProfile(
                    strip,
                    ImageCms.ImageCmsProfile(io.BytesIO(self._profile)),
                    ImageCms.createProfile("sRGB"),
                    outputMode="RGB",
                )
            except (ImageCms.PyCMSError, OSError, ValueError) as error:
                logger.warning("%s: its colour profile cannot be used (%s)", self._path, error)
                self._profile = None
            else:
                if converted is not None:
                    return converted
        return strip.convert("RGB")


def _encode_deep(pixels: npt.NDArray[np.uint16], encoder: str, pix_fmt: str) -> bytes:
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.height, context.width = pixels.shape[:2]
    context.pix_fmt = pix_fmt
    context.time_base = Fraction(1)
    picture = av.VideoFrame.from_ndarray(to_uint16(pixels), format="rgb48le")
    packets = context.encode(picture.reformat(format=pix_fmt)) + context.encode(None)
    return b"".join(bytes(packet) for packet in packets)
