"""How a reference moves in a block, as a few whole numbers: searched, not learned.

A square of two by two tokens shares one motion, linear in time: mean and change per frame of the
displacement to the reference, along x and y. Each of its four tokens carries one of the numbers.
The search is that of the mini backbone; there the frames are degraded, here they are not.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from refvid.models.mini.alignment import Flow, find_coarse, gray, refine
from refvid.models.mini_tokens.config import FRAMES, MOTION_LEVELS
from refvid.models.mini_tokens.warp import warp

_HALF = MOTION_LEVELS // 2

_STEP = 2
"""Of codes that are tried: at rest a third of a pixel."""

_RANGES = ((96.0, 1.0), (24.0, 0.5))
"""Of the mean and of the change per frame: the largest [pixels], and below what steps are even."""


def search_motion(
    block: Tensor, reference: Tensor, begin: Flow | None = None
) -> tuple[Tensor, Flow | None]:
    """Find where every pixel of a block lies in the reference.

    Args:
        block: (T, 3, H, W) in [-1, 1]; H and W multiples of 16.
        reference: (3, H, W) in [-1, 1].
        begin: Where the frame before the block was found, from the last call.

    Returns:
        (T, 2, H, W): x and y displacement [pixels]; and what the next block begins with.
    """
    shades = gray(_to_picture(reference))
    found = []
    for frame in block:
        seen = gray(_to_picture(frame))
        begin = find_coarse(seen, shades, begin)
        found.append(torch.from_numpy(refine(seen, shades, begin)))
    return torch.stack(found).permute(0, 3, 1, 2).to(block.device), begin


def code_motion(flow: Tensor, side: int) -> Tensor:
    """Displacements (B, T, 2, H, W) [pixels] -> codes (B, H / side, W / side) int64."""
    cells = functional.avg_pool2d(flow.float().flatten(0, 1), 2 * side)
    cells = cells.view(*flow.shape[:3], *cells.shape[2:])
    times = _times(flow)
    slope = (cells * times).sum(1) / times.square().sum()
    numbers = [
        _compand(part, *bounds)
        for part, bounds in zip((cells.mean(1), slope), _RANGES, strict=True)
    ]
    codes = functional.pixel_shuffle(torch.cat(numbers, 1), 2)[:, 0]
    return _whole(codes)


def refine_motion(codes: Tensor, block: Tensor, reference: Tensor, side: int) -> Tensor:
    """Try motions beside those that were searched, and keep what looks more like the block.

    The search knows nothing of the grid on which motion is told, nor of its steps.

    Args:
        codes: (1, h, w) from `code_motion`.
        block: (T, 3, H, W) in [-1, 1].
        reference: (3, H, W) in [-1, 1].
        side: Of what a code stands for [pixels].
    """

    def error(codes: Tensor) -> Tensor:
        """Of every square and half of those around it, which see its motion, too."""
        moved = move_reference(reference[None], decode_motion(codes, side))[0]
        square = (moved - block).square().mean((0, 1))[None]
        padded = functional.pad(square, (side,) * 4, mode="replicate")
        return functional.avg_pool2d(padded, 4 * side, 2 * side)[0]

    best = error(codes)
    rows, columns = (torch.arange(count, device=codes.device) for count in best.shape)
    for number, step, row, column in product((0, 1), (-_STEP, _STEP), (0, 1), (0, 1)):
        # Every second square along each axis: neighbours would change what is measured.
        tried = (rows % 2 == row)[:, None] & (columns % 2 == column)
        numbers = functional.pixel_unshuffle(codes[:, None].float(), 2)
        moves = numbers.clone()
        moves[0, number] = torch.where(tried, moves[0, number] + step, moves[0, number])
        moves.clamp_(0, MOTION_LEVELS - 1)
        better = tried & (error(_as_grid(moves)) < best)
        codes = _as_grid(torch.where(better, moves, numbers))
        best = error(codes)
    return codes


def _as_grid(numbers: Tensor) -> Tensor:
    """(1, 4, h / 2, w / 2) -> codes (1, h, w)."""
    return functional.pixel_shuffle(numbers, 2)[:, 0].round().long()


def decode_motion(codes: Tensor, side: int) -> Tensor:
    """The inverse of `code_motion`, smooth between squares: (B, T, 2, H, W) [pixels]."""
    numbers = functional.pixel_unshuffle((codes - _HALF).float()[:, None], 2)
    mean, slope = (
        functional.interpolate(_expand(part, *bounds), scale_factor=2 * side, mode="bilinear")
        for part, bounds in zip(numbers.chunk(2, 1), _RANGES, strict=True)
    )
    return mean[:, None] + slope[:, None] * _times(codes)


def code_frame_motion(flow: Tensor, grid: int) -> Tensor:
    """Displacements of whole frames (N, 2, H, W) [pixels] -> codes (N, 2, grid, grid) int64."""
    cells = functional.adaptive_avg_pool2d(flow.float(), grid)
    return _whole(_compand(cells, *_RANGES[0]))


def decode_frame_motion(codes: Tensor, size: tuple[int, int]) -> Tensor:
    """The inverse of `code_frame_motion`, smooth between squares: (N, 2, *size) [pixels]."""
    cells = _expand((codes - _HALF).float(), *_RANGES[0])
    return functional.interpolate(cells, size, mode="bilinear")


def move_reference(reference: Tensor, flow: Tensor) -> Tensor:
    """References (B, 3, H, W) moved by (B, T, 2, H, W) [pixels] -> (B, T, 3, H, W) float32."""
    pictures = reference.repeat_interleave(FRAMES, 0)
    return warp(pictures, flow.flatten(0, 1)).reshape(-1, FRAMES, *reference.shape[1:])


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


def _to_picture(frame: Tensor) -> NDArray[np.uint8]:
    """(3, H, W) in [-1, 1] -> (H, W, 3) RGB."""
    levels = frame.detach().float().clamp(-1, 1).add(1).mul(127.5).round().byte()
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())
