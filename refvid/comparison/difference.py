"""Where and when pictures differ: maps, their colours, the worst frames and places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from refvid.comparison.atlas import Picture

Map = npt.NDArray[np.float32]
"""(H, W) mean absolute difference of the colours of a pixel, 0-255."""

# Black to white through purple, red and yellow: brightness alone tells the order, also in print
# and to colour-blind readers. Anchors at equal distances.
_COLORS = np.array(
    [(8, 8, 20), (72, 18, 106), (152, 36, 100), (222, 73, 68), (250, 146, 40), (250, 240, 150)],
    np.float32,
)


def difference_map(first: Picture, second: Picture) -> Map:
    """Absolute difference of two pictures of one size, averaged over the colours."""
    # Channel by channel keeps the intermediate arrays small.
    total = np.zeros(first.shape[:2], np.float32)
    for channel in range(3):
        a, b = first[:, :, channel], second[:, :, channel]
        total += np.maximum(a, b) - np.minimum(a, b)
    total /= 3
    return total


def shrink_map(values: Map, width: int) -> Map:
    """Average a map down to a width [pixels]; smaller maps stay as they are."""
    if values.shape[1] <= width:
        return values
    height = max(1, round(values.shape[0] * width / values.shape[1]))
    image = Image.fromarray(values)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def heat_picture(values: Map, peak: float) -> Picture:
    """Colour a map: dark is equal, bright is a difference of `peak` or more."""
    position = np.clip(values / max(peak, 1e-6), 0, 1) * (len(_COLORS) - 1)
    # Each table entry is one of 256 steps: finer ones are not visible.
    steps = np.linspace(0, len(_COLORS) - 1, 256)
    anchors = np.arange(len(_COLORS))
    table = np.stack([np.interp(steps, anchors, _COLORS[:, c]) for c in range(3)], axis=1)
    index = (position * (255 / (len(_COLORS) - 1)) + 0.5).astype(np.uint8)
    heat: Picture = np.asarray(table + 0.5, np.uint8)[index]
    return heat


def common_peak(maps: Sequence[Map]) -> float:
    """A brightness for several maps, so that they can be compared: nearly the largest value."""
    return max([1.0, *(float(np.percentile(values, 99.8)) for values in maps)])


def pick_peaks(differences: Sequence[float], count: int) -> list[int]:
    """Choose the frames that differ most, but not several of one moment.

    Args:
        differences: One value per frame, 0 where pictures are equal.
        count: At most so many.

    Returns:
        Indices in order of time; frames without any difference are never among them.
    """
    distance = max(1, len(differences) // (count + 2))
    chosen: list[int] = []
    for index in sorted(range(len(differences)), key=lambda i: (-differences[i], i)):
        if len(chosen) == count or differences[index] <= 0:
            break
        if all(abs(index - other) >= distance for other in chosen):
            chosen.append(index)
    return sorted(chosen)


def hottest_box(values: Map, width: int, height: int) -> tuple[int, int, int, int]:
    """Find the window of a size with the largest sum of differences.

    Returns:
        Left, top, right and bottom [pixels], within the map.
    """
    rows, columns = values.shape
    width, height = min(width, columns), min(height, rows)
    # Sums over all windows from one table of sums over all corners.
    corners = np.zeros((rows + 1, columns + 1), np.float64)
    corners[1:, 1:] = values.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    sums = (
        corners[height:, width:]
        - corners[:-height, width:]
        - corners[height:, :-width]
        + corners[:-height, :-width]
    )
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(left), int(top), int(left) + width, int(top) + height
