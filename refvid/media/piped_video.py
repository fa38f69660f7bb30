"""y4m from a pipe and into one: read once from the front, and written as it comes."""

from __future__ import annotations

import re
import select
import sys
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Self

from refvid.errors import InputError, OutputError
from refvid.media.container import MOST_PIXELS, find_video_stream, input_errors, open_piped
from refvid.media.decoding import Picture, decoded_pictures
from refvid.media.frame_range import FrameRange
from refvid.media.pipeline import CheckStop
from refvid.media.reader import VideoReader
from refvid.media.video_info import VideoInfo, read_video_info
from refvid.media.y4m import LONGEST_LINE, START, Y4M, FrameEnds, bytes_of_a_frame
from refvid.wording import counted

_MOST_PER_PIXEL: Final = 6
"""Bytes: three channels of 16 bits."""

_POLL_S: Final = 0.1


def _go_on() -> None: ...


@dataclass(slots=True)
class PipedVideo:
    """What is known of it before it is read: its beginning, in a file, and what that tells."""

    beginning: Path
    """Header and first frame, and all that was read with them."""

    info: VideoInfo
    """As of a file; how long it is nobody knows."""

    _rest: BinaryIO

    check_stop: CheckStop = _go_on
    """Called again and again while nothing comes in: it may raise what ends the waiting."""

    @classmethod
    def begin(cls, start: bytes, stream: BinaryIO, beginning: Path) -> Self | None:
        """Look at a stream of which the first bytes are read.

        What is read is put into the file `beginning`. None where it is no y4m, or of a size that
        nothing here works on.

        Raises:
            InputError: It is damaged.
            OSError: The file cannot be written.
        """
        header = start + stream.readline(LONGEST_LINE)
        beginning.write_bytes(header)
        if not header.startswith(START) or not header.endswith(b"\n"):
            return None
        sides = [re.search(rb" %c(\d{1,5})\b" % side, header) for side in b"WH"]
        pixels = [int(side[1]) for side in sides if side is not None]
        if len(pixels) < 2 or not 0 < pixels[0] * pixels[1] <= MOST_PIXELS:
            return None
        left = pixels[0] * pixels[1] * _MOST_PER_PIXEL + LONGEST_LINE
        with beginning.open("ab") as file:
            while left > 0 and (block := stream.read(min(left, 1 << 20))):
                file.write(block)
                left -= len(block)
        info = read_video_info(beginning, companions=True)
        info = replace(info, frame_count=None, frame_count_is_exact=False, duration=None)
        return cls(beginning, info, stream)

    def open(self, part: FrameRange, *, keep_decoded: bool = False) -> VideoReader:
        """Read it: once.

        Its frames end with an `InputError` where the last one is not whole.
        """
        ends = FrameEnds(bytes_of_a_frame(self.beginning))
        source = _Joined(self.beginning.open("rb"), _Patient(self._rest, self), ends)
        with input_errors(self.beginning):
            container = open_piped(source, Y4M)
        stream = find_video_stream(container, self.beginning)

        def pictures() -> Generator[Picture, None, None]:
            with closing(decoded_pictures(container, stream, self.info, 0)) as whole:
                yield from whole
            if ends.lacking:
                raise InputError(
                    f"What is piped in is cut off: it lacks {counted(ends.lacking, 'byte')} of its "
                    "last frame. Look what the program before the pipe says."
                )

        def close() -> None:
            container.close()
            source.close()

        return VideoReader(self.info, pictures(), close, part, keep_decoded=keep_decoded)


class _Patient:
    """Reads a stream that may pause for long, in which nobody could stop a read."""

    def __init__(self, stream: BinaryIO, video: PipedVideo) -> None:
        self._stream, self._video = stream, video
        self._can_wait = sys.platform != "win32" and hasattr(stream, "fileno")

    def read(self, size: int) -> bytes:
        """What is there, up to so many bytes; nothing at the end."""
        while self._can_wait and not self._is_ready():
            self._video.check_stop()
        return self._stream.read(size)

    def _is_ready(self) -> bool:
        try:
            return bool(select.select([self._stream], [], [], _POLL_S)[0])
        except (OSError, ValueError):  # no file of the system
            self._can_wait = False
            return True


class _Joined:
    """A file, then what follows it in a stream: nothing for libav to seek in."""

    def __init__(self, first: BinaryIO, then: _Patient, ends: FrameEnds) -> None:
        self._first, self._then, self._ends = first, then, ends

    def read(self, size: int) -> bytes:
        data = self._first.read(size) or self._then.read(size)
        self._ends.add(data)
        return data

    def close(self) -> None:
        self._first.close()


class PipedResult:
    """Where a y4m video goes frame by frame: standard output."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.written = 0
        """Bytes."""

    def write(self, data: bytes) -> int:
        """Pass bytes on.

        Raises:
            OutputError: Nobody reads them.
        """
        try:
            self._stream.write(data)
            self._stream.flush()
        except OSError as error:
            raise OutputError(f"Cannot write to standard output: {error.strerror}.") from error
        self.written += len(data)
        return len(data)
