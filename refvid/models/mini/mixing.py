"""What references give to one frame together: the best of them for each cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.models.mini.alignment import (
    Flow,
    Found,
    Likeness,
    Picture,
    Placed,
    Tone,
    align,
    fine_detail,
)
from refvid.models.mini.contrast import measure_tone
from refvid.models.mini.ramp import ramp

Band = NDArray[np.float32]

_SHARPER = (0.95, 1.1)
"""Fine detail of a reference over the frame's, times the share that both have in common: up to the
first it could only harm what needs no help; from the second on it counts in full. On nine clips at
H.264 crf 4 to 36, 0 to 47 frames away, it brought up to 0.2 dB between 0.9 and 1, and cost up to
0.9; above 1.1 it brought up to 2.4."""

_ALIKE = (0.872, 0.91)
"""Correlation of what is a little coarser than detail, in a reference and the frame: up to the
first they show different things, water or grain in the dark; from the second on a reference counts
in full. Detail itself would not do: where compression left none, it correlates with nothing, and
the reference would be missing in single frames. On nine clips, 2 to 47 frames away, what lay below
the first brought at most 0.1 dB, and cost up to 0.4."""

_SURE = 0.8
"""Correlation of cells in which a reference is certainly found."""

_DETAIL_PX = 1.5
"""Detail is what a Gaussian of this deviation takes away [pixels]."""

_COARSER_PX = 4.0
"""What a Gaussian of this deviation takes away besides is a little coarser: most of it survives. It
is looked at in half the size."""

_INTERPOLATED = 1.25
"""Fine detail that a reference as sharp as the video seems to have over an enlarged frame, only
because it is sampled in another way: 1.1 to 1.3 on nine clips."""

_LEAST_PX = 8
"""Sides of a picture at which it still has detail [pixels]."""

_CHOICE = 100.0
"""How sharply cells choose: a correlation higher by 0.03 weighs 20 times as much."""

_WHOLE_FRAME = 2.0
"""What the whole frame's correlation counts beside a cell's. Near one of two references nearly all
cells look alike in both, and the farther one only seems to fit better where it does."""

_CHOICE_WINDOW = 9
"""Side of the windows over which cells choose [cells]: a choice that changes from cell to cell
would tear what both show."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A reference in which a frame was found."""

    number: int
    placed: Placed
    coarse: Flow
    enlarged: float = 1.0
    """How many times as large the frame is as it was recorded."""


@dataclass(frozen=True, slots=True)
class Gives:
    """What a reference has to give to a frame, as people are told."""

    sharper: float
    """Fine detail over the frame's. Of enlarged frames: over what they were recorded with, or more
    where the reference has what such a recording could not hold."""

    worth: float
    """How much of it would count in a frame that was not enlarged, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """What all references together give to one frame."""

    pixels: Picture
    trust: NDArray[np.float32]
    """(3, H/4, W/4), as of one reference."""

    worth: float = 1.0
    """How much of it counts, as the best does: nothing where none is sharper than the frame."""

    found: tuple[tuple[int, Likeness, Gives], ...] = ()
    """Of each reference its number, likeness, and what it has to give."""


def mix(shades: Picture, followed: Sequence[Followed]) -> Mixed | None:
    """Align references with a frame (H, W) gray, and mix them cell by cell."""
    if not followed:
        return None
    aligned = [_align(shades, one) for one in followed]
    enlarged = followed[0].enlarged
    recorded = _shrunk(shades, enlarged)
    bands = _bands(recorded)
    worths, found, results = [], [], []
    for one, (result, tone) in zip(followed, aligned, strict=True):
        # What fades has less detail than a soft frame of full contrast, and lost none of it.
        contrast = 1.0 if tone is None else tone.contrast
        sharper = contrast * _sharper(shades, result.shades, result)
        theirs = _shrunk(result.shades, enlarged)
        shared = contrast * _shared_detail(bands, _bands(theirs), result)
        worths.append(ramp(sharper * shared, _SHARPER))
        if enlarged > 1:
            recorded_sharper = contrast * _sharper(recorded, theirs, result)
            sharper = max(sharper / _INTERPOLATED, recorded_sharper)
        gives = Gives(sharper, ramp(sharper * shared, _SHARPER))
        found.append((one.number, result.likeness, gives))
        results.append(
            result if tone is None else replace(result, pixels=tone.apply(result.pixels))
        )
    return replace(mix_cells(results, worths), worth=max(worths), found=tuple(found))


def _align(shades: Picture, followed: Followed) -> tuple[Found, Tone | None]:
    """Align a reference, and measure how its tone becomes the frame's."""
    found = align(shades, followed.placed, followed.coarse)
    tone = measure_tone(shades, found)
    if tone is None:
        return found, None
    found = align(shades, followed.placed, followed.coarse, tone)
    return found, measure_tone(shades, found)


def mix_cells(results: Sequence[Found], worths: Sequence[float]) -> Mixed:
    """Mix what references give to a frame: each cell takes the one that correlates best with it and
    with the frame, or two that do so alike in equal parts.

    Args:
        results: Of one reference or more.
        worths: How much each of them counts, in [0, 1]. What is as soft as the frame would
            correlate best with it.
    """
    if len(results) == 1:
        return Mixed(results[0].pixels, results[0].trust)
    trust = np.stack([found.trust for found in results])  # (R, 3, h, w)
    window = (_CHOICE_WINDOW, _CHOICE_WINDOW)
    correlation = np.stack([cv2.blur(one[0] + one[1], window) / 2 for one in trust])
    whole = np.array([found.likeness.correlation for found in results], np.float32)
    correlation += (_WHOLE_FRAME * whole + np.array(worths, np.float32))[:, None, None]
    weights = np.exp(_CHOICE * (correlation - correlation.max(0)))
    weights *= trust[:, -1] + 1e-3
    weights /= weights.sum(0)
    height, width = results[0].pixels.shape[:2]
    mixed = np.zeros((height, width, 3), np.float32)
    for found, weight in zip(results, weights, strict=True):
        share = cv2.resize(weight, (width, height), interpolation=cv2.INTER_LINEAR)
        mixed += share[..., None] * found.pixels
    pixels = mixed.round().clip(0, 255).astype(np.uint8)
    return Mixed(pixels, (trust * weights[:, None]).sum(0).astype(np.float32))


def _sharper(ours: Picture, theirs: Picture, found: Found) -> float:
    """Fine detail of an aligned reference over a frame's, where the one is found in the other."""
    where = found.trust[0] > _SURE
    detail = fine_detail(ours, where)
    return fine_detail(theirs, where) / detail if detail > 0 else 1.0


def _shrunk(shades: Picture, enlarged: float) -> Picture:
    """A picture (H, W) in the size in which the video was recorded: what lies between its pixels is
    only interpolation, and would be taken for what a reference has not in common with it.
    """
    if enlarged <= 1:
        return shades
    size = tuple(max(_LEAST_PX, round(side / enlarged)) for side in shades.shape[::-1])
    return np.asarray(cv2.resize(shades, size, interpolation=cv2.INTER_AREA), np.uint8)


def _shared_detail(bands: tuple[Band, Band], others: tuple[Band, Band], found: Found) -> float:
    """How much of a frame's detail an aligned reference has, too, where it is found.

    The slope of the one on the other: 1 where the reference has all that the frame has, and more
    where it has the same more strongly. Less where they differ, as water does from frame to frame:
    its detail is as fine in both, and none of the one is in the other. In a frame that lost its
    detail there is little that could differ; there, what is a little coarser tells.

    Args:
        bands: Of the frame, see `_bands`.
        others: Of the reference.
        found: The reference.
    """
    (ours, theirs), (coarser, their_coarser) = (
        _seen(pair, found) for pair in zip(bands, others, strict=True)
    )
    energy = float(ours @ ours)
    if energy <= 0:
        return 1.0
    both = float(coarser @ coarser) * float(their_coarser @ their_coarser)
    correlation = float(coarser @ their_coarser) / max(1e-6, both**0.5)
    return float(ours @ theirs) / energy * ramp(correlation, _ALIKE)


def _bands(shades: Picture) -> tuple[Band, Band]:
    """Detail, and in half the size what is a little coarser."""
    levels = shades.astype(np.float32)
    softer = cv2.GaussianBlur(levels, (0, 0), _DETAIL_PX)
    half = cv2.resize(softer, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return levels - softer, half - cv2.GaussianBlur(half, (0, 0), _COARSER_PX / 2)


def _seen(pair: tuple[Band, Band], found: Found) -> tuple[Band, Band]:
    """What of a frame's band and a reference's lies where the reference is certainly found."""
    ours, theirs = pair
    size = ours.shape[1], ours.shape[0]
    seen = cv2.resize(found.trust[0], size, interpolation=cv2.INTER_NEAREST) > _SURE
    return ours[seen], theirs[seen]
