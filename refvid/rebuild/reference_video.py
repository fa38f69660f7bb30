"""A video of the scene, read in step with the one that is rebuilt: its frames of the same times.

Both clocks count from their first frames. Of the reference no more is in memory than what the
chunk at work can need.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from refvid.errors import InputError
from refvid.media.aligned import decoding_ahead
from refvid.media.reader import Frame, open_video
from refvid.media.video_info import VideoInfo, read_video_info
from refvid.rebuild.pixels import Pixels

_SAME_TIME = Fraction(1, 4)
"""Of a frame's duration: more is no rounding of a timestamp."""

_LARGEST_SHARE = 4
"""Frames of more pixels than so many times the video's are made smaller: nothing of what they
have more could be shown."""


_MOST_PER_FRAME = 2
"""Frames for each of the video's: the one that is shown, and one that follows nearly at once."""

_AHEAD = 4
"""Frames that are decoded, are being decoded and are being made smaller."""


@dataclass(frozen=True, slots=True)
class OriginalFrame:
    """A frame of the reference video."""

    index: int
    """Counted from 0 over the whole video."""

    time: Fraction
    """From its first frame on [s]."""

    pixels: Pixels
    """(h, w, 3), uint8 or uint16."""


class ReferenceVideo:
    """Gives the frames around any times that do not go back by more than a chunk.

    Args:
        info: The video.
        size: Width and height of the frames that are rebuilt [pixels].
        step: How long one of these is shown, about [s].
        take: Turns a frame (h, w, 3) of it into what the model would see.
    """

    def __init__(
        self,
        info: VideoInfo,
        size: tuple[int, int],
        step: Fraction,
        take: Callable[[Pixels], Pixels] = lambda pixels: pixels,
    ) -> None:
        self.info, self._take = info, take
        self._size, self._step = size, step
        self._stack = ExitStack()
        self._frames: Iterator[Frame] | None = None
        self._window: deque[OriginalFrame] = deque()
        self._nearly = step * _SAME_TIME
        self._before: Fraction | None = None
        self._last: Fraction | None = None
        """Times of the two frames that were read last."""

        self._is_over = False

    @property
    def name(self) -> str:
        """In words, for people."""
        return self.info.path.name

    def close(self) -> None:
        """Stop reading."""
        self._stack.close()

    def go_to(self, times: Sequence[Fraction]) -> None:
        """Read what is shown at some times [s], in order, and the frame behind the last."""
        frames = self._open(times[0])
        while not self._is_over and not (self._window and self._window[-1].time > times[-1]):
            frame = next(frames, None)
            if frame is None:
                self._is_over = True
                break
            time = frame.time - self.info.start_time
            if self._window and not self._is_of_use(self._window[-1].time, time, times):
                self._window.pop()
            self._before, self._last = self._last, time
            pixels = self._take(self._limit(frame.pixels))
            self._window.append(OriginalFrame(frame.index, time, pixels))
            self._forget(times[0])
        self._forget(times[0])

    def _is_of_use(self, time: Fraction, behind: Fraction, times: Sequence[Fraction]) -> bool:
        """Whether the frame that was read last, and has another one behind it, is asked for at one
        of the times: faster videos have many that are not.
        """
        before = self._before
        return any(
            time <= one < behind
            or (time - self._nearly <= one < time and (before is None or before < one))
            for one in times
        )

    def at(self, time: Fraction) -> OriginalFrame | None:
        """The frame of the same time; None where there is none."""
        nearest = min(self._window, key=lambda frame: abs(frame.time - time), default=None)
        if nearest is None or abs(nearest.time - time) > self._nearly:
            return None
        return nearest

    def around(self, time: Fraction) -> list[OriginalFrame]:
        """The frame shown at a time and the one behind it, as far as there are such."""
        shown = [frame for frame in self._window if frame.time <= time]
        behind = [frame for frame in self._window if frame.time > time]
        if not behind and not self.covers(time):
            return []
        return [*shown[-1:], *behind[:1]]

    def covers(self, time: Fraction) -> bool:
        """Whether it goes on at a time that was gone to."""
        if not self._window:
            return False
        last = self._window[-1].time
        rate = self.info.frame_rate
        lasts = self._step if rate is None else max(self._step, 1 / rate)
        return time < last + lasts or not self._is_over

    def _forget(self, first: Fraction) -> None:
        while len(self._window) > 1 and self._window[1].time <= first:
            self._window.popleft()

    def _open(self, first: Fraction) -> Iterator[Frame]:
        if self._frames is None:
            duration, rate = self.info.duration, self.info.frame_rate
            start = max(Fraction(0), first - (0 if rate is None else 2 / rate))
            # What is left out is not even turned into pixels. There must be a frame behind.
            can_skip = start > 0 and duration is not None and start < duration - 2 * self._step
            reader = open_video(self.info.path, start=start if can_skip else None, info=self.info)
            self._stack.enter_context(reader)
            self._frames = self._stack.enter_context(decoding_ahead(reader))
        return self._frames

    def _limit(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        share = (height * width / (self._size[0] * self._size[1] * _LARGEST_SHARE)) ** 0.5
        if share <= 1:
            return pixels
        size = (max(1, round(width / share)), max(1, round(height / share)))
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), pixels.dtype)


def held_bytes(info: VideoInfo, size: tuple[int, int], frames: int) -> int:
    """What is held of a video in step with chunks of so many frames of a size (width, height)
    [bytes], at most.
    """
    pixel = 3 if info.bit_depth == 8 else 6
    whole, area = info.width * info.height, size[0] * size[1]
    kept = min(whole, area * _LARGEST_SHARE)
    return pixel * (kept * (_MOST_PER_FRAME * frames + 2) + whole * _AHEAD)


def look_at_video(path: Path, info: VideoInfo) -> tuple[VideoInfo, list[str]]:
    """Describe a reference video for the video that it belongs to, with notes for the user.

    Raises:
        InputError: It cannot be read, has no pictures, or is HDR of another kind.
    """
    found = read_video_info(path, rate=info.frame_rate)
    if found.hdr is not None and found.color != info.color:
        kinds = [f"{one.path} is {one.hdr or 'SDR'}" for one in (found, info)]
        raise InputError(
            f"{' and '.join(kinds)}: their colours cannot be compared. Convert one of them first."
        )
    notes = []
    if found.has_alpha:
        notes.append(f"{path.name} has transparency, which does not count")
    if found.frame_rate and info.frame_rate and found.frame_rate != info.frame_rate:
        notes.append(
            f"{path.name} has {float(found.frame_rate):.5g} frames per second, the input "
            f"{float(info.frame_rate):.5g}: they are aligned by time"
        )
    if found.duration is not None and info.duration is not None:
        lacking = info.duration - found.duration
        if lacking > 2 / (info.frame_rate or 24):
            notes.append(
                f"{path.name} is {float(found.duration):.3f} s long, the input "
                f"{float(info.duration):.3f} s: its end is rebuilt without it"
            )
    return found, notes
