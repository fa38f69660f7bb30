"""What the frames around a frame know of it: the same things, with other errors.

Compression and a network leave each frame errors of its own. Along the motion, the mean over some
frames has fewer of them. Two that lie alike far to both sides balance each other's errors of motion
and light; frames of one side alone brought nothing on nine clips, or harm, and frames in which a
mean was put already became softer and softer.

Colours are looked at in half the size: there is little more in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refvid.models.dense_flow import Map, pixel_places, sample_at, search_flow
from refvid.models.mini.alignment import MIN_SIDE, Picture

Plane = NDArray[np.float32]
T = TypeVar("T")

REACH = 2
"""Frames to either side. With one, the gain on nine clips is about two thirds."""

_UNLIKE = 10.0
"""Mean difference [levels] of a neighbour to the frame at which it counts 1/e as much."""

_LEAST = 0.1
"""What counts less counts nothing."""

_COARSE = 4
"""Motion is found in so many times smaller pictures, and differences are looked at in cells of so
many pixels a side, three by three of them."""

_SEARCH = cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST

_STRIDE = 5
"""From patch to patch [pixels]: faster than 4, as usual, and no worse; 6 costs 0.004 dB."""

_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114
"""What each colour counts in the luma."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame as its neighbours see it."""

    luma: Picture
    """(H, W)."""

    chroma: Plane
    """(H/2, W/2, 2): red and blue, each minus luma [levels]."""

    shades: Picture
    """(H/4, W/4) gray, but no smaller than the search needs; of the video: motion is the same, and
    what a reference brings does not always stay in its place."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A frame as the network gives it."""

    frame: Tensor | None
    """(1, 3, H, W) in [-1, 1]; None where it is final, and only its neighbours need to know it."""

    share: float = 0.0
    """How much of what neighbours say counts, in [0, 1]."""

    seen: Seen | None = None
    """None where no neighbour has a say."""


def see(frame: Tensor, luma: Picture, shades: Picture) -> Seen:
    """Remember a frame for its neighbours.

    Args:
        frame: (1, 3, H, W) in [-1, 1], H and W even.
        luma: (H, W) of it.
        shades: (H, W) gray, of the video.
    """
    rows = frame[0, :, ::2] + frame[0, :, 1::2]
    red, green, blue = (rows[..., ::2] + rows[..., 1::2]).mul_(0.25).unbind(0)
    gray = (red * _RED).add_(green, alpha=_GREEN).add_(blue, alpha=_BLUE)
    chroma = torch.stack((red - gray, blue - gray), -1).mul_(127.5)
    size = [max(MIN_SIDE, side // _COARSE) for side in shades.shape[::-1]]
    small = cv2.resize(shades, size, interpolation=cv2.INTER_AREA)
    return Seen(luma, chroma.float().cpu().numpy(), np.asarray(small, np.uint8))


def around(frames: Sequence[T], position: int) -> tuple[Sequence[T], int]:
    """The neighbours of one of consecutive frames, with itself, and its position among them."""
    first = max(0, position - REACH)
    return frames[first : position + REACH + 1], position - first


def needed_later(frames: Sequence[Rebuilt]) -> tuple[Rebuilt, ...]:
    """Of the frames of a shot up to here, what is needed for those after them."""
    final = [replace(frame, frame=None) for frame in frames[-2 * REACH : -REACH]]
    return (*final, *frames[-REACH:])


def with_neighbours(frames: Sequence[Rebuilt], position: int) -> Tensor:
    """Put into one of consecutive frames what its neighbours say.

    Those count that lie up to `REACH` away and have one on the other side.

    Args:
        frames: Consecutive frames of a shot, see `around`.
        position: Which.

    Returns:
        (1, 3, H, W) in [-1, 1].
    """
    one = frames[position]
    assert one.frame is not None, "it is not final"
    has_neighbours = 0 < position < len(frames) - 1
    if not has_neighbours or one.share == 0:
        return one.frame
    change = what_neighbours_say([_seen(frame) for frame in frames], position)
    planes = torch.from_numpy(change)[None].to(one.frame.device)
    return planes.mul_(one.share / 127.5).add_(one.frame).clamp_(-1, 1)


def what_neighbours_say(frames: Sequence[Seen], position: int) -> Plane:
    """How a frame changes if they count in full: (3, H, W) [levels]; see `with_neighbours`."""
    one = frames[position]
    luma, chroma = _Change(one.luma), _Change(one.chroma)
    for distance in range(1, min(REACH, position, len(frames) - 1 - position) + 1):
        for neighbour in (frames[position - distance], frames[position + distance]):
            flow = search_flow(one.shades, neighbour.shades, _SEARCH, finest=0, stride=_STRIDE)
            moved = _move(neighbour.luma, flow, cv2.INTER_CUBIC)
            weight = _weigh(moved, one.luma)
            luma.add(moved, weight)
            chroma.add(_move(neighbour.chroma, flow, cv2.INTER_LINEAR), weight)
    red, blue = cv2.split(chroma.mean())
    green = (red * _RED + blue * _BLUE) / -_GREEN
    lighter = luma.mean()
    change = np.empty((3, *lighter.shape), np.float32)
    for plane, color in enumerate((red, green, blue)):
        size = lighter.shape[::-1]
        cv2.resize(color, size, dst=change[plane], interpolation=cv2.INTER_LINEAR)
    change += lighter
    return change


class _Change:
    """From a frame's values (h, w) or (h, w, C) to their weighted mean with neighbours'."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values
        self._sum = np.zeros(values.shape, np.float32)
        self._weights = np.ones(values.shape, np.float32)

    def add(self, moved: NDArray[Any], weight: Plane) -> None:
        """Take a neighbour's values, moved to the frame's places; `weight` may be smaller."""
        size = self._values.shape[1::-1]
        weights: Any = cv2.resize(weight, size, interpolation=cv2.INTER_LINEAR)
        if self._values.ndim == 3:
            weights = cv2.merge([weights] * self._values.shape[2])
        difference = np.asarray(cv2.subtract(moved, self._values, dtype=cv2.CV_32F))
        self._sum += np.multiply(difference, weights, out=difference)
        self._weights += weights

    def mean(self) -> Plane:
        """The change; it has been taken away after that."""
        self._sum /= self._weights
        return self._sum


def _seen(frame: Rebuilt) -> Seen:
    assert frame.seen is not None, "neighbours of a frame that they change are remembered"
    return frame.seen


def _move(values: NDArray[Any], flow: Map, interpolation: int) -> Any:
    """A neighbour's values (h, w) or (h, w, C), where the frame has them."""
    height, width = values.shape[:2]
    flow = flow * np.array((width / flow.shape[1], height / flow.shape[0]), np.float32)
    places = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
    cv2.add(places, _places(height, width), dst=places)
    return sample_at(values, np.asarray(places, np.float32), interpolation)


def _weigh(moved: Picture, luma: Picture) -> Plane:
    """How much each cell of a neighbour counts, beside the frame's own 1."""
    height, width = luma.shape
    cells = (max(1, width // _COARSE), max(1, height // _COARSE))
    difference = cv2.resize(cv2.absdiff(moved, luma), cells, interpolation=cv2.INTER_AREA)
    alike = cv2.blur(difference.astype(np.float32), (3, 3)) / _UNLIKE
    weight = np.exp(-(alike**2))
    weight[weight < _LEAST] = 0
    return np.asarray(weight, np.float32)


_places = lru_cache(maxsize=2)(pixel_places)
