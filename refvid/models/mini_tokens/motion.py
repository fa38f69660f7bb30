"""How a reference moves in a block, as a few whole numbers: searched, not learned.

A square of two by two tokens shares one motion, linear in time: mean and change per frame of the
displacement to the reference, along x and y. Each of its four tokens carries one of the numbers.
The search is that of the mini backbone; there the frames are degraded, here they are not. It runs
on the processor, frame by frame, so that its memory does not grow with the block.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from refvid.models.mini.alignment import Flow, Picture, find_coarse, gray, refine
from refvid.models.mini.resampling import sample
from refvid.models.mini.smooth_map import pixel_grid
from refvid.models.mini_tokens.config import FRAMES, MOTION_LEVELS
from refvid.models.mini_tokens.warp import warp

_HALF = MOTION_LEVELS // 2

STEPS = (8, 4, 2, 1)
"""Of numbers that are tried, from coarse to fine: at rest 1 is a sixth of a pixel."""

_RANGES = ((96.0, 1.0), (24.0, 0.5))
"""Of the mean and of the change per frame: the largest [pixels], and below what steps are even."""

_Numbers = NDArray[np.int64]
"""(4, h, w): of every square, mean along x and y, change along x and y, from 0 on."""


def search_motion(
    block: Tensor, reference: Tensor, cells: tuple[int, int], begin: Flow | None = None
) -> tuple[Tensor, Flow | None]:
    """Find where a block lies in the reference.

    Args:
        block: (T, 3, H, W) in [-1, 1].
        reference: (3, H, W) in [-1, 1].
        cells: Rows and columns of the cells whose displacement is told.
        begin: Where the frame before the block was found, from the last call.

    Returns:
        (T, 2, *cells) on the processor: x and y displacement, mean of each cell [pixels]; and what
        the next block begins with.
    """
    shades = _shades(reference)
    found = []
    for frame in block:
        seen = _shades(frame)
        begin = find_coarse(seen, shades, begin)
        flow = refine(seen, shades, begin)
        found.append(cv2.resize(flow, cells[::-1], interpolation=cv2.INTER_AREA))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2), begin


def find_motion(
    block: Tensor,
    reference: Tensor,
    side: int,
    begin: Flow | None = None,
    *,
    steps: tuple[int, ...] = STEPS,
) -> tuple[Tensor, Flow | None]:
    """Search a block's motion, and code it so that the moved reference looks like the block.

    Args:
        block: (T, 3, H, W) in [-1, 1]; H and W multiples of `2 * side`.
        reference: (3, H, W) in [-1, 1].
        side: Of what a code stands for [pixels].
        begin: As for `search_motion`.
        steps: As for `refine_motion`.

    Returns:
        Codes (1, H / side, W / side) int64 on the processor, and what the next block begins with.
    """
    height, width = block.shape[-2:]
    cells = height // (2 * side), width // (2 * side)
    found, begin = search_motion(block, reference, cells, begin)
    return refine_motion(code_motion(found[None]), block, reference, side, steps), begin


def code_motion(cells: Tensor) -> Tensor:
    """Displacements of squares (B, T, 2, h, w) [pixels] -> codes (B, 2h, 2w) int64."""
    times = _times(cells)
    slope = (cells * times).sum(1) / times.square().sum()
    numbers = [
        _compand(part, *bounds)
        for part, bounds in zip((cells.mean(1), slope), _RANGES, strict=True)
    ]
    return _whole(functional.pixel_shuffle(torch.cat(numbers, 1), 2)[:, 0])


def refine_motion(
    codes: Tensor, block: Tensor, reference: Tensor, side: int, steps: tuple[int, ...] = STEPS
) -> Tensor:
    """Try motions beside those that were searched, and keep what looks more like the block.

    The search knows nothing of the grid on which motion is told, nor of its steps.

    Args:
        codes: (1, h, w) from `code_motion`.
        block: (T, 3, H, W) in [-1, 1].
        reference: (3, H, W) in [-1, 1].
        side: Of what a code stands for [pixels].
        steps: Changes of a number that are tried, in this order.
    """
    trial = _Trial([_shades(frame) for frame in block], _shades(reference), side)
    numbers = np.asarray(functional.pixel_unshuffle(codes, 2).cpu())
    rows, columns = (np.arange(count) for count in numbers.shape[1:])
    for size, row, column in product(steps, (0, 1), (0, 1)):
        # Every second square along each axis: neighbours would change what is measured.
        tried = (rows % 2 == row)[:, None] & (columns % 2 == column)
        best = trial.error(numbers)
        for number, sign in product(range(4), (-1, 1)):
            moves = numbers.copy()
            moves[number][tried] += sign * size
            moves = moves.clip(0, MOTION_LEVELS - 1)
            error = trial.error(moves)
            better = tried & (error < best)
            numbers, best = np.where(better, moves, numbers), np.where(better, error, best)
    return functional.pixel_shuffle(torch.from_numpy(numbers), 2)


class _Trial:
    """How well a reference that moves in some way shows a block."""

    def __init__(self, block: list[Picture], reference: Picture, side: int) -> None:
        self._block, self._reference, self._side = block, reference, side
        self._grid = pixel_grid((reference.shape[0], reference.shape[1]))

    def error(self, numbers: _Numbers) -> NDArray[np.float32]:
        """Of every square and half of those around it, which see its motion, too: (h, w)."""
        height, width = self._reference.shape
        mean, slope = _decoded(torch.from_numpy(numbers)[None])
        total = np.zeros((height // self._side, width // self._side), np.float32)
        for seen, time in zip(self._block, _times(mean).flatten().tolist(), strict=True):
            cells = np.ascontiguousarray((mean + time * slope)[0].permute(1, 2, 0).numpy())
            flow = cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)
            places = np.add(flow, self._grid, dtype=np.float32)
            moved = sample(self._reference, places, cv2.INTER_LINEAR)
            difference = cv2.absdiff(seen, moved).astype(np.float32)
            difference *= difference
            total += cv2.resize(difference, total.shape[::-1], interpolation=cv2.INTER_AREA)
        around = cv2.copyMakeBorder(total, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        return np.asarray(_pairs(_pairs(around).T).T, np.float32)


def _pairs(rows: NDArray[Any]) -> NDArray[Any]:
    """Sums of four rows each, at every second one: (2n + 2, m) -> (n, m)."""
    pairs = rows[::2] + rows[1::2]
    return np.asarray(pairs[:-1] + pairs[1:])


def move_reference(reference: Tensor, codes: Tensor, side: int) -> Tensor:
    """References where codes say that they go, smooth between squares.

    Args:
        reference: (B, 3, H, W).
        codes: (B, H / side, W / side) from `find_motion`.
        side: Of what a code stands for [pixels].

    Returns:
        (B, T, 3, H, W) float32.
    """
    mean, slope = _decoded(functional.pixel_unshuffle(codes[:, None], 2))
    moved = reference.new_empty(len(reference), FRAMES, *reference.shape[1:], dtype=torch.float32)
    for number, time in enumerate(_times(mean).flatten().tolist()):
        flow = functional.interpolate(mean + time * slope, scale_factor=2 * side, mode="bilinear")
        moved[:, number] = warp(reference, flow)
    return moved


def code_frame_motion(cells: Tensor) -> Tensor:
    """Displacements of a frame's cells (N, 2, rows, columns) [pixels] -> codes, int64."""
    return _whole(_compand(cells, *_RANGES[0]))


def decode_frame_motion(codes: Tensor, size: tuple[int, int]) -> Tensor:
    """The inverse of `code_frame_motion`, smooth between cells: (N, 2, *size) [pixels]."""
    cells = _expand((codes - _HALF).float(), *_RANGES[0])
    return functional.interpolate(cells, size, mode="bilinear")


def _decoded(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers (B, 4, h, w) -> mean displacement and its change per frame, (B, 2, h, w) [pixels]."""
    mean, slope = (
        _expand(part, *bounds)
        for part, bounds in zip((numbers - _HALF).float().chunk(2, 1), _RANGES, strict=True)
    )
    return mean, slope


def _times(like: Tensor) -> Tensor:
    """Frames of a block counted from its middle: (T, 1, 1, 1)."""
    frames = torch.arange(FRAMES, device=like.device, dtype=torch.float32)
    return (frames - (FRAMES - 1) / 2).view(-1, 1, 1, 1)


def _compand(values: Tensor, largest: float, even: float) -> Tensor:
    """Whole numbers would be even steps near zero, and wider ones far from it."""
    return torch.asinh(values / even) * ((_HALF - 1) / math.asinh(largest / even))


def _whole(numbers: Tensor) -> Tensor:
    """Numbers -> codes from 0 on."""
    return numbers.round().clamp(-_HALF, _HALF - 1).long() + _HALF


def _expand(numbers: Tensor, largest: float, even: float) -> Tensor:
    """The inverse of `_compand`."""
    return torch.sinh(numbers * (math.asinh(largest / even) / (_HALF - 1))) * even


def _shades(frame: Tensor) -> Picture:
    """(3, H, W) in [-1, 1] -> (H, W) gray."""
    levels = frame.detach().float().clamp(-1, 1).add(1).mul(127.5).round().byte()
    return gray(np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy()))
