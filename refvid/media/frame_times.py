"""When each frame is shown: strictly rising, with what a container leaves open filled in."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_MOST_HELD: Final = 4
"""Frames that wait for the next one with a time of its own: they are large."""


@dataclass(slots=True)
class FrameTimes(Generic[T]):
    """Settles the times of frames, which come in order of display.

    A time that comes after the one before is believed. Where there is none, or the same again,
    frames are spread evenly up to the next one that has a time; where the whole video has none,
    they come from the order of decoding and the frame rate.
    """

    step: int
    """Usual distance of frames, where nothing else tells it; in units of what comes out."""

    scale: int = 1
    """How many of these units are one of what goes in."""

    repeats: int = field(init=False, default=0)
    """How many frames had a time that is not later than the one before."""

    first_repeat: int = field(init=False, default=0)
    """Index of the first of these frames."""

    _decoded: list[int] = field(init=False, default_factory=list)
    """Decoding times of what has not been shown, the smallest first."""

    _waiting: list[tuple[T, int]] = field(init=False, default_factory=list)
    """Frames with made times that may be corrected still."""

    _count: int = field(init=False, default=0)
    _is_timeless: bool = field(init=False, default=False)
    _last: int = field(init=False, default=0)
    """Of the frame that was settled last."""

    _newest: int = field(init=False, default=0)
    """Of the frame that came last."""

    _told: int = field(init=False, default=0)
    """The last time that was believed."""

    _last_decoded: int | None = field(init=False, default=None)

    def decode(self, time: int | None) -> None:
        """Take note of when the next packet is decoded."""
        if time is not None:
            heapq.heappush(self._decoded, time * self.scale)

    def undo_decode(self, time: int | None) -> None:
        """The packet decoded at this time gave no picture."""
        if time is not None and time * self.scale in self._decoded:
            self._decoded.remove(time * self.scale)
            heapq.heapify(self._decoded)

    def show(self, frame: T, time: int | None) -> list[tuple[T, int]]:
        """Take the next frame, with the time that the container gives it, if any.

        Returns:
            Frames whose times are settled.
        """
        decoded = heapq.heappop(self._decoded) if self._decoded else None
        time = None if time is None else time * self.scale
        if self._count == 0:
            self._is_timeless = time is None
            first = time if time is not None else (decoded or 0)
            self._last = self._newest = self._told = first
            settled = [(frame, first)]
        elif self._is_timeless:
            self._newest = max(self._newest + self._since_last(decoded), self._newest + 1)
            settled = [(frame, self._newest)]
        elif time is None or time <= self._told:
            if time is not None:
                self.first_repeat = self.first_repeat or self._count
                self.repeats += 1
            settled = self._make(frame, self._since_last(decoded))
        else:
            settled = self._believe(frame, time)
        self._count += 1
        self._last_decoded = decoded
        return settled

    def finish(self) -> list[tuple[T, int]]:
        """Return the frames whose times cannot be settled any better."""
        settled, self._waiting = self._waiting, []
        if settled:
            self._last = settled[-1][1]
        return settled

    def _since_last(self, decoded: int | None) -> int:
        """Return the distance to the frame before that the order of decoding suggests."""
        if decoded is not None and self._last_decoded is not None:
            distance = decoded - self._last_decoded
            if distance > 0:
                return distance
        return self.step

    def _make(self, frame: T, distance: int) -> list[tuple[T, int]]:
        self._newest += max(1, distance)
        self._waiting.append((frame, self._newest))
        return self.finish() if len(self._waiting) >= _MOST_HELD else []

    def _believe(self, frame: T, time: int) -> list[tuple[T, int]]:
        self._told = time
        count = len(self._waiting)
        if time <= self._newest:
            # What was made lies too late.
            if time <= self._last + count:
                # Frames that are out already cannot move: these catch up in half steps.
                time = self._last + (count + 1) * max(1, self.step // 2)
            span = time - self._last
            self._waiting = [
                (waiting, self._last + span * position // (count + 1))
                for position, (waiting, _) in enumerate(self._waiting, start=1)
            ]
        self._newest = time
        settled = [*self.finish(), (frame, time)]
        self._last = time
        return settled
