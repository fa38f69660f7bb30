"""Measures of stability over time: flicker and warping error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refvid.models.mini.matching import TOKEN, index_reference, match_tokens

Frame = NDArray[Any]
"""(H, W, 3) uint8 RGB; H and W multiples of 8."""

_WELL_MATCHED = 0.02
"""Blocks of the clean clip that move by translation: mean absolute error [1 = the pixel range]."""


def flicker(frames: Sequence[Frame], clean: Sequence[Frame]) -> float:
    """Error of the change from frame to frame: mean |(o_t - o_s) - (c_t - c_s)|, s = t - 1.

    0 where the clip changes exactly as the clean one does; 1 is the whole pixel range.
    """
    pairs = zip(frames[1:], frames, clean[1:], clean, strict=False)
    changes = [
        np.abs((_unit(now) - _unit(before)) - (_unit(clean_now) - _unit(clean_before))).mean()
        for now, before, clean_now, clean_before in pairs
    ]
    return float(np.mean(changes))


@dataclass(frozen=True, slots=True)
class BlockMotion:
    """How a clean clip moves from one frame to the next: one translation per 8x8 block."""

    position: Tensor
    """(M, 2) where each block was in the frame before: row and column of its corner [pixels]."""

    follows: Tensor
    """(M,) whether the clean clip itself follows that motion: no occlusion, no rotation."""


def block_motion(clean: Sequence[Frame]) -> list[BlockMotion]:
    """Find the motion between neighbouring frames, by matching: one for each frame but the first.

    It takes longer than using it: find it once per clip.
    """
    motions = []
    for now, before in zip(clean[1:], clean, strict=False):
        position = _motion(now, before)
        follows = _blocks_error(now, before, position) < _WELL_MATCHED
        motions.append(BlockMotion(position, follows))
    return motions


def warping_error(frames: Sequence[Frame], motions: Sequence[BlockMotion]) -> float:
    """Mean |o_t - warp(o_s)|, s = t - 1, with the motion of the clean clip.

    Blocks that do not follow the motion do not count. 1 is the whole pixel range.
    """
    errors = []
    for now, before, motion in zip(frames[1:], frames, motions, strict=False):
        if bool(motion.follows.any()):
            error = _blocks_error(now, before, motion.position)[motion.follows]
            errors.append(float(error.mean()))
    return float(np.mean(errors)) if errors else 0.0


def _motion(now: Frame, before: Frame) -> Tensor:
    """(M, 2) where each block of a frame was in the frame before, to the pixel."""
    matches = match_tokens(_clip(now), index_reference(_clip(before)))
    center = matches.position[0]
    height, width = now.shape[:2]
    high = center.new_tensor((height - TOKEN, width - TOKEN))
    candidates = [
        (center + center.new_tensor((row, column))).clamp(torch.zeros_like(high), high)
        for row in range(-2, 3)
        for column in range(-2, 3)
    ]
    errors = torch.stack([_blocks_error(now, before, place) for place in candidates])
    best = errors.argmin(0)
    return torch.stack(candidates)[best, torch.arange(len(best))]


def _blocks_error(now: Frame, before: Frame, position: Tensor) -> Tensor:
    """Mean absolute difference per block: (M,)."""
    blocks = _clip(before)[0].unfold(1, TOKEN, 1).unfold(2, TOKEN, 1)
    moved = blocks[:, position[:, 0], position[:, 1]]  # (3, M, 8, 8)
    here = _clip(now)[0].unfold(1, TOKEN, TOKEN).unfold(2, TOKEN, TOKEN).flatten(1, 2)
    return (moved - here).abs().mean((0, 2, 3)) / 2


def _unit(frame: Frame) -> NDArray[np.float32]:
    return frame.astype(np.float32) / np.float32(255)


def _clip(frame: Frame) -> Tensor:
    pixels = torch.from_numpy(np.ascontiguousarray(frame))
    return pixels.permute(2, 0, 1)[None].float().div_(127.5).sub_(1)
