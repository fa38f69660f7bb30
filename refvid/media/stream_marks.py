"""What a container says of a video stream beyond PyAV's properties.

PyAV shows side data of packets and frames, but not that of streams. Most of it arrives at the
frames. The rest libav's Matroska muxer writes into its header, whatever container it comes from:
such a header is made in memory, and read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Self

import av
from av.video.stream import VideoStream

# Numbers of Matroska elements: RFC 9559, and for Dolby Vision the block addition mappings of
# https://www.matroska.org/technical/codec_specs.html.
_PARENTS: Final = frozenset(
    {
        0x18538067,  # Segment
        0x1654AE6B,  # Tracks
        0xAE,  # TrackEntry
        0xE0,  # Video
        0x41E4,  # BlockAdditionMapping
    }
)
_CROP_TOP: Final = 0x54BB
_CROP_BOTTOM: Final = 0x54AA
_CROP_LEFT: Final = 0x54CC
_CROP_RIGHT: Final = 0x54DD
_ADDITION_TYPE: Final = 0x41E7
_ADDITION_DATA: Final = 0x41ED
_DOLBY_VISION: Final = frozenset({b"dvcC", b"dvvC", b"dvwC"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """Edges of the stored picture that are not shown [pixels]."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __bool__(self) -> bool:
        return bool(self.top or self.bottom or self.left or self.right)

    def shown(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) that is left of a stored picture."""
        return width - self.left - self.right, height - self.top - self.bottom


NO_CROP: Final = Crop()


@dataclass(frozen=True, slots=True, kw_only=True)
class DolbyVision:
    """How Dolby Vision is laid over a video."""

    profile: int
    compatibility: int
    """What players without Dolby Vision see: 0 wrong colours, 1 HDR10, 2 SDR, 4 HLG, 6 HDR10."""

    @property
    def is_hdr(self) -> bool:
        """Whether the coded pictures are HDR, or meant for Dolby Vision alone."""
        return self.compatibility != 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMarks:
    """What the container says of how a stream is to be shown."""

    crop: Crop = NO_CROP
    dolby_vision: DolbyVision | None = None

    def checked(self, width: int, height: int) -> Self:
        """Return the marks without a cropping that leaves nothing of the stored picture."""
        return self if min(self.crop.shown(width, height)) > 0 else replace(self, crop=NO_CROP)


def read_marks(stream: VideoStream) -> StreamMarks:
    """Read what the container says of a video stream."""
    elements: dict[int, bytes] = {}
    dolby_vision = None
    for number, payload in _elements(_matroska_header(stream)):
        if number == _ADDITION_DATA and elements.get(_ADDITION_TYPE) in _DOLBY_VISION:
            dolby_vision = _dolby_vision(payload)
        elements[number] = payload
    values = {number: int.from_bytes(payload) for number, payload in elements.items()}
    return StreamMarks(
        crop=Crop(
            top=values.get(_CROP_TOP, 0),
            bottom=values.get(_CROP_BOTTOM, 0),
            left=values.get(_CROP_LEFT, 0),
            right=values.get(_CROP_RIGHT, 0),
        ),
        dolby_vision=dolby_vision,
    )


def _matroska_header(stream: VideoStream) -> bytes:
    """Have libav describe a stream; empty where Matroska does not know its codec."""
    written = io.BytesIO()
    with suppress(av.FFmpegError, ValueError):
        container = av.open(
            written, "w", format="matroska", container_options={"strict": "unofficial"}
        )
        try:
            copy = container.add_stream_from_template(stream, opaque=True)
            copy.metadata.clear()
            container.start_encoding()
        finally:
            # A header without packets is all we want: what the trailer says is no matter.
            with suppress(av.FFmpegError, ValueError):
                container.close()
    return written.getvalue()


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Go through the elements of a Matroska file in order, whatever their depth."""
    position = 0
    while position < len(data):
        number, position = _read_number(data, position, keep_marker=True)
        size, position = _read_number(data, position, keep_marker=False)
        if number in _PARENTS:
            continue
        yield number, data[position : position + size]
        position += size


def _read_number(data: bytes, position: int, *, keep_marker: bool) -> tuple[int, int]:
    """Read a number of variable length, and return the position after it."""
    length = 9 - data[position].bit_length()
    number = int.from_bytes(data[position : position + length])
    return number if keep_marker else number ^ (1 << (7 * length)), position + length


def _dolby_vision(record: bytes) -> DolbyVision | None:
    """Read a configuration record (Dolby Vision Streams Within the ISO Base Media File Format)."""
    if len(record) < 5:
        return None
    return DolbyVision(profile=record[2] >> 1, compatibility=record[4] >> 4)
