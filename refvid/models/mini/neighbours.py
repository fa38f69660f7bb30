"""What the frames around a frame know of it: the same things, with other errors.

Compression and a network leave each frame errors of its own. Along the motion, the mean over some
frames has fewer of them. Two that lie alike far to both sides balance each other's errors of motion
and light; frames of one side alone brought nothing on nine clips, or harm, and frames in which a
mean was put already became softer and softer.
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

from refvid.models.mini.alignment import Picture

Plane = NDArray[np.float32]
T = TypeVar("T")

REACH = 2
"""Frames to either side. With one, the gain on nine clips is about two thirds."""

_UNLIKE = 10.0
"""Mean difference [levels] of a neighbour to the frame at which it counts 1/e as much."""

_LEAST = 0.1
"""What counts less counts nothing."""

_COARSE = 4
"""Differences are looked at in cells of so many pixels a side, three by three of them."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A frame as the network gives it."""

    frame: Tensor | None
    """(1, 3, H, W) in [-1, 1]; None where it is final, and only its neighbours need to know it."""

    pixels: Picture
    """(H, W, 3), the same."""

    shades: Picture
    """(H, W) gray, of the video: motion is the same, and what a reference brings does not always
    stay in its place."""

    share: float
    """How much of what neighbours say counts, in [0, 1]."""


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
    change = what_neighbours_say(frames, position) * (one.share / 127.5)
    planes = torch.from_numpy(change).to(one.frame.device).movedim(-1, 0)[None]
    return (one.frame + planes).clamp_(-1, 1)


def what_neighbours_say(frames: Sequence[Rebuilt], position: int) -> Plane:
    """How a frame changes if they count in full: (H, W, 3) [levels]; see `with_neighbours`."""
    one = frames[position]
    reach = min(REACH, position, len(frames) - 1 - position)
    change = np.zeros(one.pixels.shape, np.float32)
    weights = np.ones(one.shades.shape, np.float32)
    for distance in range(1, reach + 1):
        for neighbour in (frames[position - distance], frames[position + distance]):
            moved = _moved(neighbour, one)
            weight = _weight(moved, one.pixels)
            difference = np.asarray(cv2.subtract(moved, one.pixels, dtype=cv2.CV_32F), np.float32)
            difference *= weight[..., None]
            change += difference
            weights += weight
    change /= weights[..., None]
    return change


def _moved(neighbour: Rebuilt, one: Rebuilt) -> Picture:
    """A neighbour's pixels where the frame has them."""
    # A new one each time: what one has found before shows in its next result.
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    nothing: Any = (
        None  # which the stubs do not know to stand for a new array, or for no second map
    )
    flow = search.calc(one.shades, neighbour.shades, nothing)
    places = cv2.add(flow, _places(*one.shades.shape), dst=flow)
    border = cv2.BORDER_REPLICATE
    return np.asarray(
        cv2.remap(neighbour.pixels, places, nothing, cv2.INTER_CUBIC, borderMode=border), np.uint8
    )


def _weight(moved: Picture, pixels: Picture) -> Plane:
    """How much each pixel of a neighbour counts, beside the frame's own 1."""
    height, width = pixels.shape[:2]
    cells = (max(1, width // _COARSE), max(1, height // _COARSE))
    difference = cv2.resize(cv2.absdiff(moved, pixels), cells, interpolation=cv2.INTER_AREA)
    alike = cv2.blur(difference.astype(np.float32).mean(2), (3, 3)) / _UNLIKE
    weight = np.exp(-(alike**2))
    weight[weight < _LEAST] = 0
    return np.asarray(cv2.resize(weight, (width, height), interpolation=cv2.INTER_LINEAR))


@lru_cache(maxsize=1)
def _places(height: int, width: int) -> Plane:
    """(H, W, 2): x and y of every pixel."""
    across, down = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    return np.stack(np.meshgrid(across, down), -1)
