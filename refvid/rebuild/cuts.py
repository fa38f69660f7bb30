"""Find shot cuts in a stream of frames, so that the model's causal state starts anew there.

Two neighbouring frames are compared by three measures on a small copy of each: how much their
colour histograms differ, how much their thumbnails differ at the best small shift, and how little
the thumbnails' structure correlates at the best small shift. At a cut all three are large, so
their smallest, each divided by its typical value at a cut, is the score: motion leaves the
histogram, a change of light leaves the structure.

A cut must stand out from the scores around it, which fast motion does not, and what was seen
before it must not come back within `_FLASH_FRAMES` frames, which it does after a flash.
Dissolves and fades are no cuts: every frame resembles its neighbours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Floats = NDArray[np.float32]

# Typical values between frames of different shots (145 shots joined at random): scores of joins
# are about 2, of neighbours within shots 0.01, in the fastest motion 0.4.
_TYPICAL_HISTOGRAM = 0.4
_TYPICAL_DIFFERENCE = 0.05
_TYPICAL_DECORRELATION = 0.3

_LEAST_SCORE = 0.4
_SCORE_PER_SURROUNDINGS = 1.5
_FRAMES_BEFORE = 6
_FLASH_FRAMES = 3
_CERTAINLY_SAME = 0.1

FRAMES_BEFORE = _FRAMES_BEFORE + 1
"""As many frames before one, and those behind it, decide whether a shot starts at it."""

_SAMPLES = 96
_THUMBNAIL = 16
_LARGEST_SHIFT = 2
_NOISE_VARIANCE = 1e-4
_LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class FrameSignature:
    """What is kept of a frame to compare it with others."""

    thumbnail: Floats
    """(16, 16, 3): luma, blue minus luma, red minus luma; luma in [0, 1]."""

    histogram: Floats
    """(1024,): share of the pixels per bin of 16 luma x 8 x 8 colour difference values."""


@dataclass(frozen=True, slots=True)
class _Measured:
    signature: FrameSignature
    score: float
    """Unlikeness to the frame before."""


def mark_cuts(
    frames: Iterable[T], pixels_of: Callable[[T], NDArray[Any]]
) -> Iterator[tuple[T, bool]]:
    """Tell for each frame whether a shot starts at it.

    Args:
        frames: The stream; at most 3 frames of it are held back.
        pixels_of: (H, W, 3) uint8 or uint16 RGB of a frame.

    Yields:
        Each frame in order with True at the first frame of a shot, the very first one included.
    """
    before: deque[_Measured] = deque(maxlen=_FRAMES_BEFORE)
    after: deque[_Measured] = deque()
    waiting: deque[T] = deque()  # the frames of `after`
    for frame in frames:
        signature = measure_frame(pixels_of(frame))
        last = after[-1] if after else before[-1] if before else None
        score = compare_frames(last.signature, signature) if last else 0.0
        after.append(_Measured(signature, score))
        waiting.append(frame)
        if len(waiting) > _FLASH_FRAMES:
            yield waiting.popleft(), _decide(before, after)
    while waiting:
        yield waiting.popleft(), _decide(before, after)


def mark_shots(
    frames: Iterable[T], pixels_of: Callable[[T], NDArray[Any]], *, detect_cuts: bool
) -> Iterator[tuple[T, bool]]:
    """Do the same, or take all frames as one shot: the first one always starts one."""
    return mark_cuts(frames, pixels_of) if detect_cuts else ((frame, False) for frame in frames)


def measure_frame(pixels: NDArray[Any]) -> FrameSignature:
    """Reduce a frame, (H, W, 3) uint8 or uint16 RGB of any size, to its signature."""
    height, width = pixels.shape[:2]
    centres = np.arange(_SAMPLES) * 2 + 1
    rows, columns = centres * height // (2 * _SAMPLES), centres * width // (2 * _SAMPLES)
    samples = pixels[rows[:, None], columns].astype(np.float32)
    samples /= np.iinfo(pixels.dtype).max
    luma = samples @ _LUMA_WEIGHTS
    blue, red = samples[..., 2] - luma, samples[..., 0] - luma  # within +-0.89 and +-0.70

    luma_bin = np.minimum(luma * 16, 15).astype(np.int64)
    # Strong colours are rare: 8 bins over the middle third, the outermost take the rest.
    blue_bin = np.clip(np.floor(blue * 13.3) + 4, 0, 7).astype(np.int64)
    red_bin = np.clip(np.floor(red * 16) + 4, 0, 7).astype(np.int64)
    bins = (luma_bin * 8 + blue_bin) * 8 + red_bin
    histogram = np.bincount(bins.ravel(), minlength=1024).astype(np.float32) / bins.size

    block = _SAMPLES // _THUMBNAIL
    planes = np.stack([luma, blue, red], axis=-1)
    thumbnail = planes.reshape(_THUMBNAIL, block, _THUMBNAIL, block, 3).mean(axis=(1, 3))
    return FrameSignature(thumbnail.astype(np.float32), histogram)


def compare_frames(first: FrameSignature, second: FrameSignature) -> float:
    """Score how unlike two frames are: near 0 within a shot, around 2 across a cut."""
    histogram = 0.5 * float(np.abs(first.histogram - second.histogram).sum())
    score = histogram / _TYPICAL_HISTOGRAM
    difference = float(np.abs(first.thumbnail - second.thumbnail).mean())
    score = min(score, difference / _TYPICAL_DIFFERENCE)
    if score < _CERTAINLY_SAME:
        return score  # the search below could only lower it
    correlation = -1.0
    for down in range(-_LARGEST_SHIFT, _LARGEST_SHIFT + 1):
        for right in range(-_LARGEST_SHIFT, _LARGEST_SHIFT + 1):
            a = first.thumbnail[_overlap(down), _overlap(right)]
            b = second.thumbnail[_overlap(-down), _overlap(-right)]
            difference = min(difference, float(np.abs(a - b).mean()))
            correlation = max(correlation, _correlate(a[..., 0], b[..., 0]))
    return min(
        score,
        difference / _TYPICAL_DIFFERENCE,
        (1.0 - correlation) / _TYPICAL_DECORRELATION,
    )


def _decide(before: deque[_Measured], after: deque[_Measured]) -> bool:
    """Settle the oldest of `after` and move it to `before`."""
    candidate = after.popleft()
    is_cut = not before or (
        _stands_out(candidate.score, before, after) and not _is_flash(candidate, before, after)
    )
    before.append(candidate)
    return is_cut


def _stands_out(score: float, before: Iterable[_Measured], after: Iterable[_Measured]) -> bool:
    if score < _LEAST_SCORE:
        return False
    around = [measured.score for measured in (*before, *after)]
    return score >= _LEAST_SCORE + _SCORE_PER_SURROUNDINGS * float(np.median(around))


def _is_flash(
    candidate: _Measured, before: Iterable[_Measured], after: Iterable[_Measured]
) -> bool:
    """Whether the picture before comes back soon, or the candidate is itself such a return."""
    *earlier, last = before
    alike = candidate.score / 2
    return any(compare_frames(last.signature, later.signature) < alike for later in after) or any(
        compare_frames(early.signature, candidate.signature) < alike
        for early in earlier[-_FLASH_FRAMES:]
    )


def _overlap(shift: int) -> slice:
    return slice(max(shift, 0), _THUMBNAIL + min(shift, 0))


def _correlate(a: Floats, b: Floats) -> float:
    """Correlation of two planes; flat ones count as alike, since there is nothing to compare."""
    a, b = a - a.mean(), b - b.mean()
    noise = _NOISE_VARIANCE * a.size
    product = float((a * b).sum()) + noise
    return product / float(np.sqrt((float((a * a).sum()) + noise) * (float((b * b).sum()) + noise)))
