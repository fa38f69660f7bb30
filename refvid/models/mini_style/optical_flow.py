"""Dense motion from frame to frame: where every pixel was, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from refvid.models.dense_flow import Map, pixel_places, sample_at, search_flow
from refvid.models.mini_style.bands import lightness

_LONGEST_SIDE = 1280
"""Flow of larger frames is found on smaller ones [pixels]."""

_APART = 1.0
"""Flow there and back may differ by so much for half of the trust [pixels]."""

_DIFFERENT = 12.0
"""So may lightness [levels]."""

_AROUND = 5
"""Side of the boxes in which lightness is compared [pixels]."""

_SMOOTHER = 0.6
"""Share of a second, smoother flow. On plain ground none is defined and any two part by some tenths
of a pixel: paint moved by either flickers by the other."""

_FAR_APART = 4.0
"""Where it is this far from the first one it has half of that share [pixels]: it blurs borders."""

Numbers = NDArray[np.int64]
"""(N,): of rows or columns."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Where the pixels of a frame were in the one before."""

    place: Map
    """(H, W, 2) x and y there [pixels]."""

    trust: Tensor
    """(H, W) from 0, it was not there, to 1."""

    def places(self, rows: Numbers, columns: Numbers) -> tuple[Tensor, Tensor]:
        """Row and column (len(rows), len(columns)) where pixels on a grid were [pixels].

        The grid is not asked of a card: to read it from there, one would have to wait.
        """
        found = torch.from_numpy(self.place[rows][:, columns]).to(self.trust.device)
        return found[..., 1], found[..., 0]

    def trusts(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Trust (len(rows), len(columns)) on that grid."""
        return self.trust[rows][:, columns]


@dataclass(frozen=True, slots=True)
class Gray:
    """Lightness of a frame as flow is found on it."""

    pixels: NDArray[np.uint8]
    """(h, w)"""

    size: tuple[int, int]
    """Height and width of the frame."""


def gray_of(frame: Tensor) -> Gray:
    """Of a frame (3, H, W) in [-1, 1]."""
    height, width = frame.shape[1:]
    levels = lightness(frame)[0].clamp(-1, 1).add(1).mul(127.5).round()
    pixels = levels.to(torch.uint8).cpu().numpy()
    if max(height, width) > _LONGEST_SIDE:
        scale = _LONGEST_SIDE / max(height, width)
        small = (round(width * scale), round(height * scale))
        pixels = np.asarray(cv2.resize(pixels, small, interpolation=cv2.INTER_AREA), np.uint8)
    return Gray(pixels, (height, width))


def find_flow(now: Gray, before: Gray, device: torch.device) -> Flow:
    """Dense inverse search (Kroeger et al. 2016), there and back, drawn to a smoother flow."""
    there, back = _search(now.pixels, before.pixels), _search(before.pixels, now.pixels)
    height, width = now.pixels.shape
    across, down = cv2.split(there + sample_at(back, there + pixel_places(height, width)))
    apart = (across * across + down * down) / _APART**2
    there = _drawn(there, _expand(now.pixels, before.pixels))
    place = there + pixel_places(height, width)
    changed = cv2.absdiff(sample_at(before.pixels, place), now.pixels).astype(np.float32)
    different = np.square(cv2.blur(changed, (_AROUND, _AROUND)) / _DIFFERENT)
    trust = 1 / ((1 + apart * apart) * (1 + different * different))
    column, row = cv2.split(place)
    trust[(column < 0) | (column > width - 1) | (row < 0) | (row > height - 1)] = 0
    if (height, width) != now.size:
        place = pixel_places(*now.size) + _enlarge(there, now.size) * (now.size[1] / width)
        trust = _enlarge(trust, now.size)
    return Flow(place, torch.from_numpy(trust).to(device))


def move_along(picture: Tensor, flow: Flow) -> Tensor:
    """A picture (3, H, W) in [-1, 1], moved to where its pixels are now."""
    pixels = np.ascontiguousarray(picture.permute(1, 2, 0).cpu().numpy())
    moved = sample_at(pixels, flow.place, cv2.INTER_CUBIC)
    return torch.from_numpy(moved).to(picture.device).permute(2, 0, 1).clamp(-1, 1)


def shrink_flow(flow: Flow, factor: int) -> Flow:
    """Flow between the same frames, so many times smaller."""
    if factor == 1:
        return flow
    height, width = flow.place.shape[:2]
    shift = torch.from_numpy(flow.place - pixel_places(height, width)).permute(2, 0, 1)
    small = functional.avg_pool2d(shift, factor, ceil_mode=True, count_include_pad=False) / factor
    trust = functional.avg_pool2d(flow.trust[None], factor, ceil_mode=True, count_include_pad=False)
    shift_px = np.ascontiguousarray(small.permute(1, 2, 0).numpy())
    return Flow(shift_px + pixel_places(*shift_px.shape[:2]), trust[0])


def _search(now: NDArray[np.uint8], before: NDArray[np.uint8]) -> Map:
    return search_flow(now, before, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def _expand(now: NDArray[np.uint8], before: NDArray[np.uint8]) -> Map:
    """Flow by polynomial expansion (Farneback 2003)."""
    # None asks for a new array, which the stubs do not know.
    nothing: Any = None
    flow = cv2.calcOpticalFlowFarneback(now, before, nothing, 0.5, 5, 21, 1, 5, 1.2, 0)
    return np.asarray(flow, np.float32)


def _drawn(flow: Map, smoother: Map) -> Map:
    """Flow, most of the way to another where they are close."""
    across, down = cv2.split(smoother - flow)
    far = (across * across + down * down) / _FAR_APART**2
    share = np.float32(_SMOOTHER) / (1 + far * far)
    return flow + cv2.merge((across * share, down * share))


def _enlarge(values: Map, size: tuple[int, int]) -> Map:
    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
