"""Rates, lengths and counts of frames, as far as a container tells them or its start shows."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Final

import av
from av.container import InputContainer
from av.video.stream import VideoStream

# Files whose index lists every frame, so that counting costs nothing.
_INDEXED_FORMATS: Final = frozenset({"mov", "mp4"})
# A higher average is the mark of a container that stores only milliseconds.
_BELIEVABLE_RATE: Final = 480


def frame_rate(stream: VideoStream, timestamps: list[int], time_base: Fraction) -> Fraction | None:
    """Return the average frames per second; None if unknown.

    Args:
        stream: The video.
        timestamps: Of its first frames, in order of display.
        time_base: Their unit [s].
    """
    rate = stream.average_rate
    if rate is not None and 0 < rate <= _BELIEVABLE_RATE:
        return rate
    if len(timestamps) > 1 and timestamps[-1] > timestamps[0]:
        span = (timestamps[-1] - timestamps[0]) * time_base
        return ((len(timestamps) - 1) / span).limit_denominator(1001)
    guessed = stream.guessed_rate
    return guessed if guessed is not None and 0 < guessed <= _BELIEVABLE_RATE else None


def duration(
    container: InputContainer, stream: VideoStream, time_base: Fraction
) -> Fraction | None:
    """Return how long a video is, as its container tells it [s]; None if it does not."""
    if stream.duration:
        return stream.duration * time_base
    return Fraction(container.duration, av.time_base) if container.duration else None


def _is_indexed(container: InputContainer) -> bool:
    return bool(_INDEXED_FORMATS & set(container.format.name.split(",")))


def frame_count(
    container: InputContainer,
    stream: VideoStream,
    duration: Fraction | None,
    rate: Fraction | None,
) -> tuple[int | None, bool]:
    """Return how many frames there are, and whether that is exact; None if it is unknown."""
    # Fragmented files have an index of their first fragment only; `frames` counts all of it.
    if _is_indexed(container) and len(stream.index_entries) >= stream.frames > 0:
        return sum(not entry.is_discard for entry in stream.index_entries), True
    if stream.frames > 0:
        return stream.frames, False
    if duration is not None and rate is not None:
        return max(1, round(duration * rate)), False
    return None, False


def is_variable_rate(
    container: InputContainer, stream: VideoStream, timestamps: list[int]
) -> bool | None:
    """Whether frames are unevenly spaced; None where only reading the whole file would tell.

    A jitter of one tick is rounding, not a variable rate.
    """
    if _is_indexed(container) and len(stream.index_entries) >= stream.frames > 0:
        # Decoding times are evenly spaced exactly when presentation times are.
        stamps = [entry.timestamp for entry in stream.index_entries if not entry.is_discard]
        return _spread(stamps) > 1
    return True if _spread(timestamps) > 1 else None


def _spread(timestamps: list[int]) -> int:
    steps = [later - earlier for earlier, later in pairwise(timestamps)]
    return max(steps) - min(steps) if steps else 0
