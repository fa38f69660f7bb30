"""YUV4MPEG2 (.y4m): pictures as they are, for pipes between programs, and nothing beside them.

A line of text, then for each frame another one and its samples: always as many bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from refvid.errors import OutputError
from refvid.media.color import ColorInfo, resolve_color
from refvid.media.container import find_video_stream, input_errors, open_container
from refvid.media.encoding import Encoding
from refvid.media.video_info import VideoInfo

Y4M: Final = "yuv4mpegpipe"
"""libav's name."""

START: Final = b"YUV4MPEG2 "

LONGEST_LINE: Final = 1 << 10
"""Bytes: of the header, and of what stands before each frame."""

_FRAME: Final = b"FRAME"
_BEGUN: Final = tuple(_FRAME[:length] for length in range(1, len(_FRAME)))

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


def bytes_of_a_frame(path: Path) -> int:
    """Bytes of each frame's samples; 0 where the file holds not even one.

    Raises:
        InputError: It is damaged.
    """
    with open_container(path) as container, input_errors(path):
        packets = container.demux(find_video_stream(container, path))
        return next((packet.size for packet in packets), 0)


def missing_from_y4m(path: Path, file: BinaryIO, size: int) -> int:
    """Return how many bytes of its last frame a file lacks.

    Raises:
        InputError: It is damaged.
    """
    frame = bytes_of_a_frame(path)
    file.seek(0)
    file.readline(LONGEST_LINE)
    while frame and (line := file.readline(LONGEST_LINE)):
        if not line.startswith(_FRAME) and line not in _BEGUN:
            return 0  # whatever this is, no frame is cut in it
        file.seek(frame, 1)
    return max(0, file.tell() - size)


class FrameEnds:
    """Follows the frames of a stream, from its header on."""

    def __init__(self, frame_bytes: int) -> None:
        self._frame_bytes = frame_bytes
        self._follows = 0
        """Bytes of samples behind the line that comes next: none behind the header."""

        self._left = 0
        self._is_in_line = False

    @property
    def lacking(self) -> int:
        """Bytes of samples that the frame still lacks with which the stream has begun; 0: none."""
        return self._left or (self._follows if self._is_in_line else 0)

    def add(self, data: bytes) -> None:
        """Take note of what comes next."""
        position = 0
        while position < len(data):
            if self._left:
                taken = min(self._left, len(data) - position)
                self._left -= taken
                position += taken
                continue
            end = data.find(b"\n", position)
            self._is_in_line = end < 0
            if self._is_in_line:
                return
            self._left, self._follows = self._follows, self._frame_bytes
            position = end + 1
