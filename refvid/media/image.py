"""Single images: references, and the frames of image sequences."""

from __future__ import annotations

import io
import logging
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal, cast

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from refvid.errors import InputError, OutputError
from refvid.media.image_comment import add_to_png
from refvid.media.partial_file import partial_file
from refvid.media.pixel_conversion import Pixels, to_uint8, to_uint16
from refvid.media.tiff import check_tiff, is_deep_tiff, is_planar, read_deep_tiff

_log = logging.getLogger(__name__)

# Formats that hold one picture and are decoded without running anything else (EPS would start
# Ghostscript) or opening other files.
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "TGA")
IMAGE_SUFFIXES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".ppm", ".jp2", ".tga"}
)
_MOST_PIXELS: Final = 2**28
# Mid-grey: 0 in a model's [-1, 1], and the least striking border on light and dark pictures.
_BACKGROUND: Final = 128

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


def read_image(path: Path) -> Pixels:
    """Read an image as it is meant to be seen.

    EXIF orientation is applied, an ICC profile converted to sRGB, transparency laid on
    mid-grey. Of an animation, the first picture.

    Returns:
        (H, W, 3) RGB: uint16 at full scale for images deeper than 8 bits (PNG, TIFF, PPM),
        else uint8.

    Raises:
        InputError: Missing, damaged, too large, or no image (a video, a text).
    """
    try:
        with warnings.catch_warnings():
            # Sizes are checked below; odd metadata in a photo is no concern of the user.
            warnings.simplefilter("ignore")
            Image.init()  # else Pillow does not know the rarer ones of these formats
            with Image.open(path, formats=_FORMATS) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise InputError(
                        f"{path} is too large ({image.width}x{image.height}). Make it smaller."
                    )
                return _decode(path, image)
    except FileNotFoundError as error:
        raise InputError(f"The image {path} does not exist. Check the path.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder, not an image.") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not an image that can be read. {_advice(path)}") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is too large to be read. Make it smaller.") from error
    # Pillow's decoders report damage with whatever the parsing code ran into.
    except (
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
    ) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"Cannot read the image {path}: {reason}. It may be damaged.") from error


def _advice(path: Path) -> str:
    with path.open("rb") as file:
        if file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
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


def encode_image(pixels: Pixels, path: Path, exif: bytes = b"") -> bytes:
    """Return the bytes of an image file in the format of `path`'s suffix.

    `exif` is stored where the format has a place for it.

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
        return add_to_png(encoded, exif) if exif and suffix == ".png" else encoded
    buffer = io.BytesIO()
    image_format = Image.registered_extensions()[suffix]
    options = _SAVE_OPTIONS.get(suffix, {}) | ({"exif": exif} if exif else {})
    try:
        Image.fromarray(np.ascontiguousarray(to_uint8(pixels))).save(
            buffer, format=image_format, **options
        )
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"Cannot write {path}: {error}. Use PNG instead.") from error
    return buffer.getvalue()


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


def _decode(path: Path, image: Image.Image) -> Pixels:
    profile = image.info.get("icc_profile")
    check_tiff(image)
    if _is_deep_color(image):
        if profile:
            _log.warning("%s: its colour profile is ignored, as it has 16 bits per channel", path)
        if is_deep_tiff(image) and not is_planar(image):
            return read_deep_tiff(path, image)
        return _apply_exif(_decode_deep(path), image)
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16") or upright.mode == "I":
        gray = np.clip(np.asarray(upright), 0, 65535).astype(np.uint16)
        return np.repeat(gray[:, :, np.newaxis], 3, axis=2)
    alpha = None
    if upright.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        alpha = upright.getchannel("A")
        upright = upright.convert("RGB")
    colors = _to_srgb(path, upright, profile)
    if alpha is not None:
        background = Image.new("RGB", colors.size, (_BACKGROUND,) * 3)
        colors = Image.composite(colors, background, alpha)
    return np.array(colors)


def _to_srgb(path: Path, image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode in ("P", "1", "HSV"):
        image = image.convert("RGB")
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            _log.warning("%s: its colour profile cannot be used (%s)", path, error)
        else:
            if converted is not None:
                return converted
    return image.convert("RGB")


def _is_deep_color(image: Image.Image) -> bool:
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


def _decode_deep(path: Path) -> npt.NDArray[np.uint16]:
    with av.open(f"file:{path}", container_options={"protocol_whitelist": "file"}) as container:
        picture = next(container.decode(video=0))
        pixels = picture.reformat(format="rgba64le").to_ndarray().astype(np.float32)
    alpha = pixels[:, :, 3:] / 65535
    mixed = pixels[:, :, :3] * alpha + _BACKGROUND * 257 * (1 - alpha)
    return np.rint(mixed).astype(np.uint16)


def _apply_exif(pixels: Pixels, image: Image.Image) -> Pixels:
    orientation = image.getexif().get(0x0112, 1)
    if orientation in (2, 5, 7, 4):  # mirrored
        pixels = pixels[:, ::-1]
    turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return cast("Pixels", np.ascontiguousarray(np.rot90(pixels, turns)))


def _encode_deep(pixels: npt.NDArray[np.uint16], encoder: str, pix_fmt: str) -> bytes:
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.height, context.width = pixels.shape[:2]
    context.pix_fmt = pix_fmt
    context.time_base = Fraction(1)
    picture = av.VideoFrame.from_ndarray(to_uint16(pixels), format="rgb48le")
    packets = context.encode(picture.reformat(format=pix_fmt)) + context.encode(None)
    return b"".join(bytes(packet) for packet in packets)
