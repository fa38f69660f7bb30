"""The colour tags of a decoded picture."""

from __future__ import annotations

import av
from av.video.stream import VideoStream

from refvid.media.color import MATRIX_RGB, RANGE_FULL, RANGE_UNSPECIFIED, UNSPECIFIED, ColorInfo
from refvid.media.pixel_conversion import is_rgb


def picture_color(picture: av.VideoFrame, stream: VideoStream) -> ColorInfo:
    """Return a picture's tags; what it leaves open is taken from the container."""
    context = stream.codec_context
    return completed_color(
        picture,
        ColorInfo(
            matrix=int(context.colorspace),
            range=int(context.color_range),
            primaries=int(context.color_primaries),
            transfer=int(context.color_trc),
        ),
    )


def completed_color(picture: av.VideoFrame, others: ColorInfo) -> ColorInfo:
    """Return a picture's tags; what it leaves open is taken from other ones."""
    pix_fmt = picture.format.name
    matrix = picture.colorspace if picture.colorspace != UNSPECIFIED else others.matrix
    color_range = picture.color_range or others.range
    if is_rgb(pix_fmt):
        matrix, color_range = MATRIX_RGB, RANGE_FULL
    elif matrix == MATRIX_RGB:  # YUV cannot have the identity matrix: a muxer's mistake
        matrix = UNSPECIFIED
    if pix_fmt.startswith("yuvj"):
        color_range = RANGE_FULL
    return ColorInfo(
        matrix=int(matrix),
        range=int(color_range) if color_range in (1, 2) else RANGE_UNSPECIFIED,
        primaries=int(_known(picture.color_primaries, others.primaries)),
        transfer=int(_known(picture.color_trc, others.transfer)),
    )


def _known(first: int, second: int) -> int:
    return first if first not in (0, UNSPECIFIED) else second or UNSPECIFIED
