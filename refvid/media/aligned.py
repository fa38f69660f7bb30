"""Several videos side by side: one frame of each at a time, shown at the same moment.

Each is decoded ahead in a thread of its own.
"""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, zip_longest
from typing import Any, Final, NoReturn, Self, cast

from refvid.errors import InputError
from refvid.media.reader import Frame, VideoReader
from refvid.media.video_info import VideoInfo

_AHEAD = 2
"""Frames that each thread may decode ahead: enough for all to stay busy."""

_POLL_S = 0.1
_LARGEST_SHIFT = Fraction(1, 4)
"""Of a frame's duration: more is no rounding of a timestamp."""

_END: Final = object()


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why videos cannot go on side by side."""

    index: int
    """Of the pictures, counted from where all of them began."""

    video: VideoInfo
    """The odd one."""

    other: VideoInfo
    times: tuple[Fraction, Fraction] | None
    """When the two show it, from the first picture on [s]; None where the odd one has ended."""


class AlignedReader(ABC):
    """Reads several videos in step. Use it as a context manager, and iterate once.

    What a subclass opens in `_open` is closed at the end. One video leads: the others are held
    against its times, as far as they have times of their own and not only an order.
    """

    def __init__(self, leader: int = 0) -> None:
        self._leader = leader
        self._first: Frame | None = None
        """Of the leader, where it had to be read before the others were opened."""

        self._readers: list[VideoReader] = []
        self._stack = ExitStack()

    @abstractmethod
    def _open(self) -> None:
        """Put readers into `_readers` by `_enter`."""

    @abstractmethod
    def _words(self, mismatch: Mismatch) -> str:
        """Say to the user what does not fit."""

    def _enter(self, reader: VideoReader) -> VideoReader:
        self._readers.append(self._stack.enter_context(reader))
        return reader

    @property
    def infos(self) -> list[VideoInfo]:
        return [reader.info for reader in self._readers]

    def __enter__(self) -> Self:
        with self._stack:
            self._open()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _is_over(self, frames: Sequence[Frame | None]) -> bool:
        """Whether it is the end, where some have ended."""
        return not any(frames)

    def _is_timed(self, video: VideoInfo) -> bool:
        return not (video.is_image_sequence or self.infos[self._leader].is_image_sequence)

    def together(self) -> Generator[tuple[tuple[Frame, ...], Fraction], None, None]:
        """Give the frames that are shown at one moment, and when that is from the first on [s].

        Raises:
            InputError: A video is damaged, or frames cannot be aligned; names the first.
        """
        # Not in a `with` here: an error in the loop's body would leave the threads running.
        streams = [self._stack.enter_context(decoding_ahead(reader)) for reader in self._readers]
        if self._first is not None:
            streams[self._leader] = chain([self._first], streams[self._leader])
            self._first = None
        origins: list[int] = []
        for index, some in enumerate(zip_longest(*streams)):
            if self._is_over(some):
                return
            if None in some:
                self._refuse_lengths(index, some)
            frames = cast("tuple[Frame, ...]", some)
            origins = origins or [frame.pts for frame in frames]
            times = [
                (frame.pts - start) * frame.time_base
                for frame, start in zip(frames, origins, strict=True)
            ]
            self._check_times(index, frames, times)
            yield frames, times[self._leader]

    def _refuse_lengths(self, index: int, frames: Sequence[Frame | None]) -> NoReturn:
        infos = self.infos
        longer = next(info for info, frame in zip(infos, frames, strict=True) if frame is not None)
        raise InputError(self._words(Mismatch(index, infos[frames.index(None)], longer, None)))

    def _check_times(
        self, index: int, frames: tuple[Frame, ...], times: Sequence[Fraction]
    ) -> None:
        lead, expected = frames[self._leader], times[self._leader]
        infos = self.infos
        for info, time in zip(infos, times, strict=True):
            if time == expected:
                continue
            # Containers round times to their own grid, the first frame's as well.
            tolerance = info.time_base + lead.time_base
            if lead.duration:
                tolerance = min(tolerance, lead.duration * lead.time_base * _LARGEST_SHIFT)
            if abs(time - expected) > tolerance and self._is_timed(info):
                both = (time, expected)
                raise InputError(self._words(Mismatch(index, info, infos[self._leader], both)))


@contextmanager
def decoding_ahead(video: VideoReader) -> Iterator[Iterator[Frame]]:
    """Decode in a thread of its own, a few frames ahead; when the block is left, it has ended."""
    # Any: frames, then `_END` or the error that ended them.
    decoded: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # A place for each frame that may wait. The bounded `Queue` of Python itself takes as long to
    # hand over a frame as its pixels take to be compared.
    places: queue.SimpleQueue[None] = queue.SimpleQueue()
    for _ in range(_AHEAD):
        places.put(None)
    stop = threading.Event()

    def decode() -> None:
        try:
            for frame in video:
                places.get()
                if stop.is_set():
                    return
                decoded.put(frame)
        except BaseException as error:  # noqa: BLE001 - raised again in the consuming thread
            decoded.put(error)
        else:
            decoded.put(_END)

    def take() -> Iterator[Frame]:
        while True:
            try:
                item = decoded.get(timeout=_POLL_S)  # short: Windows delays Ctrl-C while waiting
            except queue.Empty:
                continue
            if item is _END:
                return
            if isinstance(item, BaseException):
                raise item
            places.put(None)
            yield item

    thread = threading.Thread(target=decode, name="reader")
    thread.start()
    try:
        yield take()
    finally:
        stop.set()
        places.put(None)
        while thread.is_alive():
            thread.join(_POLL_S)
