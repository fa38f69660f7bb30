"""Measures of stability over time: flicker and warping error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from refvid.metrics.pairs import Mask, check_mask, check_pair
from refvid.models.matching import TOKEN, index_reference, match_tokens
from refvid.models.mini_style.motion import find_motion

Frame = NDArray[Any]
"""(H, W, 3) RGB, uint8 or uint16 at full scale; for block motion, H and W multiples of 8."""

_WELL_MATCHED = 0.02
"""Blocks of the clean clip that move by translation: mean absolute error [1 = the pixel range]."""


def flicker(frames: Sequence[Frame], clean: Sequence[Frame]) -> float:
    """Error of the change from frame to frame: mean |(o_t - o_s) - (c_t - c_s)|, s = t - 1.

    0 where the clip changes exactly as the clean one does; 1 is the whole pixel range.
    """
    pairs = zip(frames[1:], frames, clean[1:], clean, strict=False)
    return float(np.mean([change_error(*frames_and_clean) for frames_and_clean in pairs]))


def change_error(
    now: Frame, before: Frame, clean_now: Frame, clean_before: Frame, mask: Mask | None = None
) -> float:
    """`flicker` of one frame: mean |(now - before) - (clean_now - clean_before)|.

    Args:
        now: A frame.
        before: The frame before it.
        clean_now: What `now` should be; all four of one shape and type.
        clean_before: What `before` should be.
        mask: (H, W) weights of the pixels.

    Raises:
        ValueError: Shapes or types differ; `EmptyMask`: it is.
    """
    for other in (before, clean_now, clean_before):
        check_pair(now, other)
    signed = np.int16 if now.dtype == np.uint8 else np.int32
    error = np.subtract(now, before, dtype=signed)
    error -= np.subtract(clean_now, clean_before, dtype=signed)
    np.abs(error, out=error)
    peak = float(np.iinfo(now.dtype).max)
    if mask is None:
        return int(error.sum(dtype=np.int64)) / error.size / peak
    check_mask(mask, now.shape)
    per_pixel = error.sum(axis=-1, dtype=np.float32)
    weighted = float(np.multiply(per_pixel, mask).mean(dtype=np.float64))
    return weighted / float(mask.mean(dtype=np.float64)) / 3 / peak


@dataclass(frozen=True, slots=True)
class BlockMotion:
    """How a clean clip moves from one frame to the next: one translation per 8x8 block."""

    position: Tensor
    """(M, 2) where each block was in the frame before: row and column of its corner [pixels]."""

    follows: Tensor
    """(M,) whether the clean clip itself follows that motion: no occlusion, no rotation."""


def block_motion(clean: Sequence[Frame], *, steady: bool = False) -> list[BlockMotion]:
    """Find the motion between neighbouring frames, by matching: one for each frame but the first.

    It takes longer than using it: find it once per clip.

    Args:
        clean: The clip.
        steady: For judging a clip with more texture than this one, such as a restyled one. Blocks
            whose motion nothing shows, on a plain wall, say, move as their neighbours do; else
            they move as their noise happens to match.
    """
    pairs = zip(clean[1:], clean, strict=False)
    return [frame_motion(now, before, steady=steady) for now, before in pairs]


def frame_motion(now: Frame, before: Frame, *, steady: bool = False) -> BlockMotion:
    """Find how a clean frame moved since the frame before it."""
    now_clip, before_clip = _clip(now), _clip(before)
    if steady:
        position = find_motion(now_clip[0], before_clip[0]).position.view(-1, 2)
    else:
        position = _motion(now_clip, before_clip)
    return BlockMotion(position, _blocks_error(now_clip, before_clip, position) < _WELL_MATCHED)


def warping_error(frames: Sequence[Frame], motions: Sequence[BlockMotion]) -> float:
    """Mean |o_t - warp(o_s)|, s = t - 1, with the motion of the clean clip.

    Blocks that do not follow the motion do not count. 1 is the whole pixel range.
    """
    triples = zip(frames[1:], frames, motions, strict=False)
    errors = [frame_warping_error(now, before, motion) for now, before, motion in triples]
    known = [error for error in errors if error is not None]
    return float(np.mean(known)) if known else 0.0


def frame_warping_error(
    now: Frame, before: Frame, motion: BlockMotion, mask: Mask | None = None
) -> float | None:
    """`warping_error` of one frame.

    Args:
        now: A frame; H and W multiples of 8.
        before: The frame before it.
        motion: Of the clean clip between these frames.
        mask: (H, W) weights of the pixels; a block weighs as much as its pixels together.

    Returns:
        None where no block counts.
    """
    weights = motion.follows.float()
    if mask is not None:
        check_mask(mask, now.shape)
        blocks = torch.from_numpy(np.ascontiguousarray(mask, dtype=np.float32))
        weights = weights * functional.avg_pool2d(blocks[None], TOKEN).flatten()
    if not bool(weights.any()):
        return None
    counted = weights > 0
    error = _blocks_error(_clip(now), _clip(before), motion.position)[counted]
    if mask is None:
        return float(error.mean())
    return float((error * weights[counted]).sum() / weights[counted].sum())


def _motion(now: Tensor, before: Tensor) -> Tensor:
    """(M, 2) where each block of a clip of one frame was in that before, to the pixel."""
    matches = match_tokens(now, index_reference(before))
    center = matches.position[0]
    height, width = now.shape[2:]
    high = center.new_tensor((height - TOKEN, width - TOKEN))
    candidates = [
        (center + center.new_tensor((row, column))).clamp(torch.zeros_like(high), high)
        for row in range(-2, 3)
        for column in range(-2, 3)
    ]
    errors = torch.stack([_blocks_error(now, before, place) for place in candidates])
    best = errors.argmin(0)
    return torch.stack(candidates)[best, torch.arange(len(best))]


def _blocks_error(now: Tensor, before: Tensor, position: Tensor) -> Tensor:
    """Mean absolute difference per block of clips of one frame: (M,)."""
    blocks = before[0].unfold(1, TOKEN, 1).unfold(2, TOKEN, 1)
    moved = blocks[:, position[:, 0], position[:, 1]]  # (3, M, 8, 8)
    here = now[0].unfold(1, TOKEN, TOKEN).unfold(2, TOKEN, TOKEN).flatten(1, 2)
    return (moved - here).abs().mean((0, 2, 3)) / 2


def _clip(frame: Frame) -> Tensor:
    """(1, 3, H, W) in [-1, 1]."""
    white = np.iinfo(frame.dtype).max
    pixels = torch.from_numpy(np.ascontiguousarray(frame, dtype=np.float32))
    return pixels.permute(2, 0, 1)[None].contiguous().div_(white / 2).sub_(1)
