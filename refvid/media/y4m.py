"""YUV4MPEG2 (.y4m): pictures as they are, for pipes between programs, and nothing beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from refvid.errors import OutputError
from refvid.media.color import ColorInfo, resolve_color
from refvid.media.encoding import Encoding
from refvid.media.video_info import VideoInfo

Y4M: Final = "yuv4mpegpipe"
"""libav's name."""

FORMATS: Final = (
    "gray", "gray10le", "gray12le", "gray16le",
    "yuv420p", "yuv422p", "yuv444p",
    "yuv420p10le", "yuv422p10le", "yuv444p10le",
    "yuv420p12le", "yuv422p12le", "yuv444p12le",
    "yuv420p16le", "yuv422p16le", "yuv444p16le",
)  # fmt: skip
"""Pixel formats that it can name."""

ENCODER_OPTIONS: Final = {"chroma_sample_location": "left"}
"""Where chroma lies in nearly all video; else the header would say: in the middle."""

MUXER_OPTIONS: Final = {"strict": "-1"}
"""More than 8 bits are no part of the first standard, but what all programs write."""


def y4m_notes(like: VideoInfo, encoding: Encoding, color: ColorInfo) -> Iterator[str]:
    """Say what is lost of a video.

    Raises:
        OutputError: Its sound is to be copied.
    """
    if like.audio and encoding.audio == "copy":
        raise OutputError(
            f"The sound of {like.path} cannot be stored in y4m. Leave out --audio copy, or choose "
            "another container."
        )
    beside = {
        "sound": bool(like.audio) and encoding.audio != "none",
        "subtitles": bool(like.subtitles) and encoding.subtitles != "none",
        "chapters": like.chapters > 0 and encoding.metadata,
        "tags": bool(like.metadata) and encoding.metadata,
    }
    if lost := [name for name, is_there in beside.items() if is_there]:
        yield f"y4m holds pictures only: {', '.join(lost)} are left out"
    if like.is_variable_rate:
        yield "y4m has no timestamps: the variable frame rate is lost"
    if like.sample_aspect_ratio != 1:
        yield f"y4m is written without the pixel shape {like.sample_aspect_ratio}"
    told = resolve_color(ColorInfo(), like.height)
    if color.matrix != told.matrix or like.hdr is not None:
        tags = f"{color.matrix_name}, {color.primaries_name}, {color.transfer_name}"
        yield f"y4m has no colour tags: tell whoever reads it that it is {tags}"
