"""Black bars: what lies within them is not part of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DARK = 20.0
"""Bars are no brighter, but for a pixel in a hundred [levels]."""

_PLAIN = 4.0
"""Standard deviation within a line of a bar [levels]."""

_MIN_SHARE = 0.4
"""Less of a side than this between bars is a dark scene rather than a picture in bars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The part of a picture between bars; ends are exclusive [pixels]."""

    top: int
    bottom: int
    left: int
    right: int

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """(H, W) true inside; `size` is height and width [pixels]."""
        inside = np.zeros(size, np.bool_)
        inside[self.top : self.bottom, self.left : self.right] = True
        return inside


def find_content(gray: NDArray[np.uint8]) -> Content:
    """Find black bars at the borders of a gray picture (H, W); mostly there are none."""
    top, bottom = _between_bars(gray)
    left, right = _between_bars(gray[top:bottom].T)
    return Content(top=top, bottom=bottom, left=left, right=right)


def _between_bars(lines: NDArray[np.uint8]) -> tuple[int, int]:
    """First and last line (exclusive) of the content of lines (N, length)."""
    count, length = lines.shape
    # Few lines have so few bright pixels that it is worth to look at them.
    bar = np.count_nonzero(lines > _DARK, axis=1) < length - int(0.99 * (length - 1))
    dark = lines[bar]
    if len(dark):
        bar[bar] = (np.percentile(dark, 99, axis=1) <= _DARK) & (dark.std(axis=1) <= _PLAIN)
    content = np.flatnonzero(~bar)
    if len(content) < _MIN_SHARE * count:
        return 0, count
    return int(content[0]), int(content[-1]) + 1
