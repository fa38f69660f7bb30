"""Decoded pictures <-> RGB arrays, with the video's own matrix and range.

8-bit video goes through libswscale. Deeper video does not: libswscale takes 65280, not 65535,
for white in its 16-bit RGB, which shifts everything by 0.4 %. There it only moves chroma
between grids, and the matrix is applied here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.format import VideoFormat
from av.video.frame import PictureType
from av.video.reformatter import Interpolation, VideoReformatter

from refvid.media.color import (
    LUMA_WEIGHTS,
    RANGE_FULL,
    RANGE_LIMITED,
    SWSCALE_MATRICES,
    ColorInfo,
)
from refvid.media.side_data import Fields, make_picture

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


class Planes(NamedTuple):
    """A picture colour by colour, each (H, W) uint8: how libswscale gives it."""

    red: Pixels
    green: Pixels
    blue: Pixels

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.red.dtype


def interleaved(picture: Pixels | Planes) -> Pixels:
    """Return a picture as (H, W, 3) RGB."""
    return cast("Pixels", cv2.merge(picture)) if isinstance(picture, Planes) else picture


# Bicubic chroma, computed for every pixel and rounded, not truncated.
_SWSCALE_FLAGS: Final = int(
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
# Depths for which libav has a planar 4:4:4 format.
_PLANAR_DEPTHS: Final = (8, 9, 10, 12, 14, 16)
_BAND_PIXELS: Final = 2**15


def format_depth(pix_fmt: str) -> int:
    """Bits per component of a libav pixel format; palettes count as the 8 bits they hold."""
    video_format = VideoFormat(pix_fmt)
    if video_format.has_palette:
        return 8
    return max(8, *(component.bits for component in video_format.components))


def is_rgb(pix_fmt: str) -> bool:
    """Whether a pixel format holds RGB, directly or in a palette."""
    video_format = VideoFormat(pix_fmt)
    return video_format.is_rgb or video_format.has_palette or pix_fmt.startswith("mono")


def has_alpha(pix_fmt: str) -> bool:
    """Whether a pixel format has an alpha channel (palettes: not known, so no)."""
    return any(component.is_alpha for component in VideoFormat(pix_fmt).components)


def holds_same_samples(pix_fmt: str, other: str) -> bool:
    """Whether two formats of luma and chroma hold the same samples of a picture.

    They may differ in their order and packing, and in transparency, which counts for nothing.
    """
    if pix_fmt == other:
        return True
    if is_rgb(pix_fmt) or is_rgb(other):
        return False
    return _sampling(pix_fmt) == _sampling(other)


def _sampling(pix_fmt: str) -> tuple[int, int, tuple[int, ...]]:
    """Return how many chroma samples 16 pixels have, across and down, and each channel's bits."""
    video_format = VideoFormat(pix_fmt)
    depths = tuple(channel.bits for channel in video_format.components if not channel.is_alpha)
    return video_format.chroma_width(16), video_format.chroma_height(16), depths


class RgbReader:
    """Turns decoded pictures into RGB. Keeps libswscale's tables between pictures."""

    def __init__(self, color: ColorInfo) -> None:
        """`color` is resolved: matrix and range are known."""
        self._color = color
        self._reformatter = VideoReformatter()

    def read(self, picture: av.VideoFrame, width: int, height: int) -> Pixels:
        """Convert one picture, scaled if its size is not (width, height).

        Returns:
            (height, width, 3) RGB; uint8 for 8-bit sources, else uint16 with 65535 as white.
        """
        return interleaved(self.read_loosely(picture, width, height))

    def read_loosely(self, picture: av.VideoFrame, width: int, height: int) -> Pixels | Planes:
        """Do what `read` does, but leave planes where they come so: to join them takes time."""
        pix_fmt = picture.format.name
        depth = format_depth(pix_fmt)
        if is_rgb(pix_fmt):
            target = "rgb24" if depth == 8 else "rgb48le"
            return _packed(self._scale(picture, target, width, height))
        if depth == 8:
            converted = self._reformatter.reformat(
                picture,
                width=width,
                height=height,
                format="gbrp",  # the numbers of rgb24 in a third of the time
                src_colorspace=SWSCALE_MATRICES[self._color.matrix],
                src_color_range=self._color.range,
                dst_color_range=RANGE_FULL,
                interpolation=_SWSCALE_FLAGS,
                threads=1,
            )
            green, blue, red = (_plane_array(plane, depth) for plane in converted.planes)
            return Planes(red, green, blue)
        depth = next(known for known in _PLANAR_DEPTHS if known >= min(depth, 16))
        planes = self._scale(picture, _planar_format(depth), width, height, self._color.range)
        return _yuv_to_rgb(planes, self._color, depth)

    def _scale(
        self,
        picture: av.VideoFrame,
        pix_fmt: str,
        width: int,
        height: int,
        color_range: int = RANGE_FULL,
    ) -> av.VideoFrame:
        matrix = SWSCALE_MATRICES[self._color.matrix]
        return self._reformatter.reformat(
            picture,
            width=width,
            height=height,
            format=pix_fmt,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=color_range,
            dst_color_range=color_range,
            interpolation=_SWSCALE_FLAGS,
            threads=1,
        )


class RgbWriter:
    """Turns RGB into pictures for an encoder."""

    def __init__(self, pix_fmt: str, color: ColorInfo) -> None:
        """`color` is resolved: matrix and range are known (RGB formats ignore them)."""
        self._pix_fmt = pix_fmt
        self._color = color
        self._is_rgb = is_rgb(pix_fmt)
        self._depth = min(16, format_depth(pix_fmt))
        self._reformatter = VideoReformatter()

    def write(
        self,
        pixels: Pixels,
        side_data: Mapping[str, bytes] | None = None,
        fields: Fields | None = None,
    ) -> av.VideoFrame:
        """Convert pixels to a tagged picture.

        Args:
            pixels: (H, W, 3) RGB, uint8 or uint16 at full scale.
            side_data: What the picture carries besides, see `make_picture`.
            fields: For interlaced video, whose fields have chroma samples of their own.
        """
        pixels = cast("Pixels", np.ascontiguousarray(pixels))
        size = pixels.shape[1], pixels.shape[0]
        make = partial(make_picture, size=size, side_data=side_data or {}, fields=fields)
        if self._is_rgb:
            picture = self._from_rgb(pixels, make)
        elif self._depth == 8 and pixels.dtype == np.uint8:
            picture = self._convert(make(pixels, "rgb24"), source_range=RANGE_FULL)
        else:
            depth = next(known for known in _PLANAR_DEPTHS if known >= self._depth)
            planes = _rgb_to_yuv(pixels, self._color, depth)
            planar = make(np.moveaxis(planes, -1, 0), _planar_format(depth))
            picture = self._convert(planar, self._color.range)
        return self._tagged(picture)

    def retag(self, picture: av.VideoFrame, color: ColorInfo) -> av.VideoFrame | None:
        """Prepare a decoded picture for the encoder with the very samples that it has.

        Args:
            picture: As decoded.
            color: Its own, resolved.

        Returns:
            The picture; None where the samples would have to change.
        """
        name = picture.format.name
        if not holds_same_samples(name, self._pix_fmt):
            return None
        if not self._is_rgb and not color.codes_like(self._color):
            return None
        if name != self._pix_fmt:
            picture = self._convert(picture, self._color.range)
        picture.pict_type = PictureType.NONE  # the encoder chooses its own key frames
        return self._tagged(picture)

    def _tagged(self, picture: av.VideoFrame) -> av.VideoFrame:
        picture.colorspace = self._color.matrix
        picture.color_range = self._color.range
        picture.color_primaries = self._color.primaries
        picture.color_trc = self._color.transfer
        return picture

    def _from_rgb(self, pixels: Pixels, make: Callable[..., av.VideoFrame]) -> av.VideoFrame:
        if self._depth == 8 and pixels.dtype == np.uint16:
            pixels = to_uint8(pixels)
        picture = make(pixels, "rgb24" if pixels.dtype == np.uint8 else "rgb48le")
        return self._reformatter.reformat(
            picture, format=self._pix_fmt, interpolation=_SWSCALE_FLAGS, threads=1
        )

    def _convert(self, picture: av.VideoFrame, source_range: int) -> av.VideoFrame:
        matrix = SWSCALE_MATRICES[self._color.matrix]
        return self._reformatter.reformat(
            picture,
            format=self._pix_fmt,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=source_range,
            dst_color_range=self._color.range,
            interpolation=_SWSCALE_FLAGS,
            threads=1,
        )


def to_uint8(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Reduce full-scale pixels to 8 bits, rounding to the nearest value."""
    if pixels.dtype == np.uint8:
        return cast("npt.NDArray[np.uint8]", pixels)
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def to_uint16(pixels: Pixels) -> npt.NDArray[np.uint16]:
    """Widen full-scale pixels to 16 bits: 255 becomes 65535."""
    if pixels.dtype == np.uint16:
        return cast("npt.NDArray[np.uint16]", pixels)
    return pixels.astype(np.uint16) * np.uint16(257)


def _packed(picture: av.VideoFrame) -> Pixels:
    return cast("Pixels", picture.to_ndarray())


def _planar_format(depth: int) -> str:
    return "yuv444p" if depth == 8 else f"yuv444p{depth}le"


def _sample_type(depth: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if depth == 8 else np.uint16


def _plane_array(plane: Any, depth: int) -> Pixels:
    samples = np.frombuffer(plane, dtype=_sample_type(depth))
    stride = plane.line_size // samples.itemsize
    return cast("Pixels", samples.reshape(plane.height, stride)[:, : plane.width])


def _code_values(color: ColorInfo, depth: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return scale and offset of Y, Cb, Cr for a luma in [0, 1] and chroma in [-0.5, 0.5]."""
    middle = 2.0 ** (depth - 1)
    if color.range == RANGE_LIMITED:
        step = 2.0 ** (depth - 8)
        return np.array([219, 224, 224]) * step, np.array([16 * step, middle, middle])
    peak = 2.0**depth - 1
    return np.array([peak, peak, peak]), np.array([0, middle, middle])


def _rgb_to_ycc_matrix(matrix: int) -> npt.NDArray[np.float64]:
    red, blue = LUMA_WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    return np.stack(
        [
            luma,
            (np.array([0, 0, 1]) - luma) / (2 * (1 - blue)),
            (np.array([1, 0, 0]) - luma) / (2 * (1 - red)),
        ]
    )


def _yuv_to_rgb(picture: av.VideoFrame, color: ColorInfo, depth: int) -> npt.NDArray[np.uint16]:
    """Convert a planar 4:4:4 picture to (H, W, 3) RGB with 65535 as white."""
    scale, offset = _code_values(color, depth)
    inverse = np.linalg.inv(_rgb_to_ycc_matrix(color.matrix)) / scale * 65535
    planes = [_plane_array(plane, depth) for plane in picture.planes]
    rgb = np.empty((picture.height, picture.width, 3), np.uint16)
    for rows in _bands(rgb.shape):
        values = np.stack([plane[rows] for plane in planes], axis=-1)
        rgb[rows] = _transform(values, inverse, -inverse @ offset, 65535)
    return rgb


def _rgb_to_yuv(pixels: Pixels, color: ColorInfo, depth: int) -> Pixels:
    """Convert (H, W, 3) RGB to (H, W, 3) code values of Y, Cb, Cr."""
    scale, offset = _code_values(color, depth)
    white = 255 if pixels.dtype == np.uint8 else 65535
    forward = _rgb_to_ycc_matrix(color.matrix) * scale[:, np.newaxis] / white
    yuv = np.empty(pixels.shape, _sample_type(depth))
    for rows in _bands(pixels.shape):
        yuv[rows] = _transform(pixels[rows], forward, offset, 2**depth - 1)
    return cast("Pixels", yuv)


def _bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Split a picture into bands of rows whose floats stay in the processor's cache."""
    step = max(1, _BAND_PIXELS // shape[1])
    return (slice(top, top + step) for top in range(0, shape[0], step))


def _transform(
    pixels: npt.NDArray[Any], matrix: npt.NDArray[Any], offset: npt.NDArray[Any], peak: int
) -> npt.NDArray[np.float32]:
    values = pixels.astype(np.float32).reshape(-1, 3) @ matrix.T.astype(np.float32)
    values += offset.astype(np.float32)
    np.rint(values, out=values)
    np.clip(values, 0, peak, out=values)
    return values.reshape(pixels.shape)
