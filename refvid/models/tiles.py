"""Space: overlapping windows on the latent grid, and how decoded windows join to a clip."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

MIN_OVERLAP = 0.25
"""Neighbouring windows share at least this part of their length."""

_LONGEST_SIDE = 4 / 3
"""A window's longer side in units of the side asked for; its area stays within the square's."""

_ALIGNMENT = 2
"""Windows start on whole tokens of the attention (16 pixels), as the frame itself does."""


class Span(NamedTuple):
    """Rows or columns of a window [latent positions]."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


class Windows(NamedTuple):
    """Every row span with every column span makes a window; in that order."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def pairs(self) -> list[tuple[Span, Span]]:
        return [(rows, columns) for rows in self.rows for columns in self.columns]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the whole frame [latent positions]."""
        return self.rows[-1].stop, self.columns[-1].stop


def plan_windows(height: int, width: int, side: int | None) -> Windows:
    """Cover a frame with the windows that cost least.

    Args:
        height: Of the frame [latent positions].
        width: Of the frame [latent positions].
        side: A window has at most the area of a square of this side, and at most 4/3 of it in
            length [latent positions]. None: the whole frame.
    """
    if side is None:
        return Windows((Span(0, height),), (Span(0, width),))
    longest = max(int(side * _LONGEST_SIDE), 2 * _ALIGNMENT)
    area = max(side**2, (2 * _ALIGNMENT) ** 2)
    plans = [
        Windows(rows, columns)
        for rows in _spans_up_to(height, longest)
        for columns in _spans_up_to(width, longest)
        if rows[0].length * columns[0].length <= area
    ]
    return min(plans, key=lambda plan: sum(r.length * c.length for r, c in plan.pairs))


def crop(features: Tensor, window: tuple[Span, Span]) -> Tensor:
    """Cut a window out of (B, T, h, w, C)."""
    rows, columns = window
    return features[:, :, rows.start : rows.stop, columns.start : columns.stop]


class Blend:
    """Joins decoded windows with linear cross-fades over what they share."""

    def __init__(self, windows: Windows, scale: int) -> None:
        self.windows, self.scale = windows, scale
        self.row_weights = _ramps(windows.rows, scale)
        self.column_weights = _ramps(windows.columns, scale)

    def add(self, clip: Tensor, index: int, pixels: Tensor) -> None:
        """Add the window of this index, (B, T, H', W', 3), to the clip (B, T, H, W, 3)."""
        across = len(self.windows.columns)
        row_weights = self.row_weights[index // across].to(clip.device)
        column_weights = self.column_weights[index % across].to(clip.device)
        rows, columns = self.windows.pairs[index]
        place = crop(
            clip,
            (
                Span(rows.start * self.scale, rows.stop * self.scale),
                Span(columns.start * self.scale, columns.stop * self.scale),
            ),
        )
        place.addcmul_(pixels.to(clip.dtype), (row_weights[:, None] * column_weights)[..., None])


def _spans_up_to(extent: int, longest: int) -> list[tuple[Span, ...]]:
    """Ways to cover an extent with equal spans no longer than this, down to less than half of it.

    Shorter ones are never worth while: with one side so short, the other may be the longest.
    """
    found = []
    for count in range(1, extent + 1):
        spans = _spans(extent, count)
        if spans[0].length <= longest:
            found.append(spans)
        if spans[0].length <= max(longest // 2, 2 * _ALIGNMENT):
            break
    return found


def _spans(extent: int, count: int) -> tuple[Span, ...]:
    """Equal spans with at least `MIN_OVERLAP` between neighbours, on whole tokens."""
    if count == 1:
        return (Span(0, extent),)
    shortest = extent / (count - MIN_OVERLAP * (count - 1))
    length = min(math.ceil(shortest / _ALIGNMENT) * _ALIGNMENT, extent)
    while True:
        # Where the extent is odd, the last span is the one that may start between tokens.
        step = math.floor(length * (1 - MIN_OVERLAP) / _ALIGNMENT) * _ALIGNMENT
        if step > 0 and step * (count - 1) + length >= extent:
            break
        length += _ALIGNMENT
    starts = [min(index * step, extent - length) for index in range(count)]
    return tuple(Span(start, start + length) for start in starts)


def _ramps(spans: tuple[Span, ...], scale: int) -> list[Tensor]:
    """Weights along one axis, for each span; they add up to 1 at every pixel."""
    extent = spans[-1].stop * scale
    weights = torch.zeros(len(spans), extent)
    for index, span in enumerate(spans):
        ramp = torch.ones(span.length * scale)
        if index > 0 and (overlap := (spans[index - 1].stop - span.start) * scale) > 0:
            ramp[:overlap] *= (torch.arange(overlap) + 0.5) / overlap
        if index + 1 < len(spans) and (overlap := (span.stop - spans[index + 1].start) * scale) > 0:
            ramp[-overlap:] *= 1 - (torch.arange(overlap) + 0.5) / overlap
        weights[index, span.start * scale : span.stop * scale] = ramp
    weights /= weights.sum(0)
    return [
        weights[index, span.start * scale : span.stop * scale] for index, span in enumerate(spans)
    ]
