"""Which part of a video: from a frame or time on, up to another, at most so many frames."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from refvid.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRange:
    """Which part of a video to work on; times count from its first frame's timestamp [s]."""

    start: Fraction | int | None = None
    """A time [s] as Fraction, or a frame index as int; None is the beginning."""

    end: Fraction | int | None = None
    """First moment or frame that is left out; None is the end."""

    frames: int | None = None
    """At most so many frames."""

    def __post_init__(self) -> None:
        if (self.start or 0) < 0 or (self.end or 0) < 0:
            raise OptionError("A range counts from 0: its start and end are not negative.")
        if self.frames is not None and not hasattr(self.frames, "__index__"):
            raise OptionError(f"The number of frames is a whole one, not {self.frames!r}.")
        if self.frames is not None and self.frames < 1:
            raise OptionError(f"The number of frames must be at least 1, not {self.frames}.")
        # A time and an index can only be compared once the file is read.
        if (
            self.end is not None
            and isinstance(self.start or 0, int) == isinstance(self.end, int)
            and self.end <= (self.start or 0)
        ) or self.end == 0:
            raise OptionError(f"The range is empty: it ends ({self.end}) before it starts.")

    @property
    def is_open_ended(self) -> bool:
        """Whether it goes on to the end of the video."""
        return self.end is None and self.frames is None

    def describe(self) -> str:
        """Say it in words, e.g. `from 12.5 s to frame 400`; nothing for all of the video."""
        words = []
        if self.start:
            words.append(f"from {_in_words(self.start)}")
        if self.end is not None:
            words.append(f"to {_in_words(self.end)}")
        if self.frames is not None:
            words.append(f"no more than {self.frames} frames")
        return " ".join(words)

    def is_before_start(self, index: int, time: Fraction) -> bool:
        """Whether a frame comes before the range."""
        return self.start is not None and _position(self.start, index, time) < self.start

    def is_past_end(self, index: int, time: Fraction) -> bool:
        """Whether a frame comes after it, whatever the number of frames in between."""
        return self.end is not None and _position(self.end, index, time) >= self.end

    def count_frames(self, total: int | None, rate: Fraction | None) -> int | None:
        """Number of frames in the range, estimated where it is given as times.

        Args:
            total: Frames of the whole video; None is unknown.
            rate: Average frames per second; None is unknown.

        Returns:
            None where nothing bounds it.
        """
        start = _to_index(self.start, rate)
        bounds = [
            bound
            for bound in (total, None if self.end is None else _to_index(self.end, rate))
            if bound is not None
        ]
        if start is None or not bounds:
            return None
        count = max(min(bounds) - start, 0)
        return count if self.frames is None else min(count, self.frames)


def _in_words(bound: Fraction | int) -> str:
    return f"frame {bound}" if isinstance(bound, int) else f"{float(bound):.9g} s"


def _position(bound: Fraction | int, index: int, time: Fraction) -> Fraction | int:
    return index if isinstance(bound, int) else time


def _to_index(position: Fraction | int | None, rate: Fraction | None) -> int | None:
    if position is None:
        return 0
    if isinstance(position, int):
        return position
    if rate is None:
        return None
    # The first frame at or after this time.
    return -int(-position * rate // 1)
