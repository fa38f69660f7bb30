"""Letters laid over a picture, such as subtitles: painted over, they could not be read.

Nothing is read here. Letters are thin strokes of one flat colour, lighter or darker than what lies
on both sides of them. Several of about the same height and colour stand on one line, and fill their
boxes less than windows, lamps and fence posts do.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

_LINES = 480
"""Lengths in pixels are those of so many lines."""

_WIDEST = 17
"""No stroke covers a square of this side [pixels]."""

_CONTRAST = 60
"""Of letters to what lies on both sides, at least [levels]."""

_LIGHT, _DARK = 190, 40
"""Light letters are at least so light, and dark ones at most [levels]."""

_LOWEST, _HIGHEST = 7, 0.2
"""Height of letters: at least so many pixels, at most this share of the frame."""

_WIDE = 3.0
"""Width of a letter, or of a few that touch, over their height, at most."""

_RIDGE, _FLAT = 12, 22.0
"""Of strokes the pixels count that are nearly the lightest around; their deviation [levels]."""

_SAME = 12.0
"""Letters of a line differ by at most this from the one in the middle [levels]."""

_ALIKE, _ALIKE_LEVEL = 0.45, 20.0
"""Letters of a line: height of the smaller one over the other's, and how far levels are apart."""

_GAP, _OVERLAP = 1.2, 0.6
"""Letters of a line: their distance, and the lines that they share, over the smaller height."""

_FEWEST, _MOST = 4, 800
"""Letters in a line, and marks in a frame: more are a texture."""

_MANY, _FEWEST_OF_MANY = 24, 7
"""Among so many marks some stand in a line by chance: it takes more of them."""

_ON_LINE, _OFF_LINE = 0.75, 0.08
"""So many of a line's letters end on it, up to this share of their height."""

_FULL, _VARIED = 0.72, 0.12
"""A letter in the middle covers less of its box; and how much proportions differ, at least."""

_OUTLINE = 2
"""Around letters this belongs to them [pixels]."""

_CHANGED, _GONE = 16, 0.1
"""Letters that so large a share of has changed by so many levels are there no more."""

Mask = NDArray[np.bool_]
Boxes = NDArray[np.int64]
"""(marks, 5) left, top, width, height and area [pixels]."""


def find_letters(gray: NDArray[np.uint8]) -> Mask | None:
    """(H, W) true where letters are, and close around them; None without any.

    Args:
        gray: Lightness of a frame (H, W).
    """
    scale = max(1.0, min(gray.shape) / _LINES)
    side = round(_WIDEST * scale) | 1
    light = _find_light(gray, side, _LIGHT)
    dark = _find_light(np.asarray(cv2.bitwise_not(gray), np.uint8), side, 255 - _DARK)
    if light is None and dark is None:
        return None
    found = sum(mask.astype(np.uint8) for mask in (light, dark) if mask is not None)
    reach = 2 * round(_OUTLINE * scale) + 1
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    letters: Mask = np.asarray(cv2.dilate(np.asarray(found), around)) > 0
    return letters


def hold_letters(
    found: Mask | None, before: Mask | None, now: NDArray[np.uint8], then: NDArray[np.uint8]
) -> Mask | None:
    """Letters found in a frame, and those of the frame before while they stand there unchanged.

    Args:
        found: (H, W) in this frame; None without any.
        before: (H, W) in the frame before.
        now: Lightness of this frame (H, W).
        then: And of the one before.
    """
    if before is None:
        return found
    changed = np.asarray(cv2.absdiff(now, then))[before] > _CHANGED
    if changed.mean() > _GONE:
        return found
    return before if found is None else found | before


def _find_light(gray: NDArray[np.uint8], side: int, least: int) -> Mask | None:
    """The strokes of light letters."""
    above = cv2.morphologyEx(gray, cv2.MORPH_TOPHAT, np.ones((side, side), np.uint8))
    strokes = ((above >= _CONTRAST) & (gray >= least)).astype(np.uint8)
    count, labels, found, _ = cv2.connectedComponentsWithStats(strokes)
    boxes: Boxes = np.asarray(found).astype(np.int64)
    height, width, area = boxes[:, 3], boxes[:, 2], boxes[:, 4]
    maybe = (height >= _LOWEST) & (height <= _HIGHEST * len(gray)) & (width <= _WIDE * height)
    maybe &= area > height
    maybe[0] = False
    if not _FEWEST <= maybe.sum() <= _MOST:
        return None
    level, deviation = _levels(gray, np.asarray(labels), count)
    numbers = np.flatnonzero(maybe & (deviation <= _FLAT))
    keep = np.zeros(count, np.bool_)
    for line in _lines(boxes[numbers], level[numbers]):
        letters = numbers[line]
        keep[letters] = True
        # Dots, commas and what is between letters.
        keep |= _within(boxes, boxes[letters]) & (level >= level[letters].min() - _ALIKE_LEVEL)
    keep[0] = False
    return keep[np.asarray(labels)] if keep.any() else None


def _levels(
    gray: NDArray[np.uint8], labels: NDArray[np.int32], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of lightness along the ridges of the strokes, by label."""
    lightest = np.asarray(cv2.dilate(gray, np.ones((3, 3), np.uint8)))
    ridge = (labels > 0) & (lightest - gray <= _RIDGE)
    which, values = labels[ridge], gray[ridge].astype(np.float64)
    pixels = np.bincount(which, minlength=count).clip(1)
    mean = np.bincount(which, values, count) / pixels
    square = np.bincount(which, values * values, count) / pixels
    return mean, np.sqrt(np.maximum(square - mean * mean, 0))


def _lines(boxes: Boxes, level: NDArray[np.float64]) -> Iterator[NDArray[np.int64]]:
    """Which marks stand together as letters of a line."""
    left, top, width, height = (boxes[:, n] for n in range(4))
    smaller = np.minimum(height[:, None], height)
    gap = np.maximum(left[:, None], left) - np.minimum((left + width)[:, None], left + width)
    shared = np.minimum((top + height)[:, None], top + height) - np.maximum(top[:, None], top)
    beside = (gap <= _GAP * smaller) & (shared >= _OVERLAP * smaller)
    beside &= smaller >= _ALIKE * np.maximum(height[:, None], height)
    beside &= np.abs(level[:, None] - level) <= _ALIKE_LEVEL
    fewest = _FEWEST if len(boxes) < _MANY else _FEWEST_OF_MANY
    waiting = set(range(len(boxes)))
    while waiting:
        reached = {waiting.pop()}
        line = set(reached)
        while reached:
            reached = set(np.flatnonzero(beside[sorted(reached)].any(0)).tolist()) - line
            line |= reached
        waiting -= line
        members = np.array(sorted(line))
        # Things of the picture that touch a line are nearly of its colour.
        members = members[np.abs(level[members] - np.median(level[members])) <= _SAME]
        if len(members) >= fewest and _is_writing(boxes[members]):
            yield members


def _is_writing(boxes: Boxes) -> bool:
    """Whether these marks, side by side, are shaped and placed as letters are."""
    width, height, area = boxes[:, 2], boxes[:, 3], boxes[:, 4]
    ends = boxes[:, 1] + height
    on_line = np.abs(ends - np.median(ends)) <= np.maximum(1, _OFF_LINE * np.median(height))
    return bool(
        on_line.mean() >= _ON_LINE
        and np.median(area / (width * height)) <= _FULL
        and (width / height).std() >= _VARIED
    )


def _within(boxes: Boxes, line: Boxes) -> Mask:
    """Which boxes lie in the box of a line, or stick out by a third of its height."""
    left, top, width, height = (boxes[:, n] for n in range(4))
    start, end = line[:, :2].min(0), (line[:, :2] + line[:, 2:4]).max(0)
    spare = np.median(line[:, 3]) / 3
    inside: Mask = (left >= start[0] - spare) & (left + width <= end[0] + spare)
    inside &= (top >= start[1] - spare) & (top + height <= end[1] + spare)
    return inside
