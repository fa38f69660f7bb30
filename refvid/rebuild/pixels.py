"""Frames <-> clip: integer pixels as media gives them, float tensors as models want them.

The bit depth is kept: `uint8` frames come back as `uint8`, `uint16` frames as `uint16`, both over
their type's full range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from refvid.models.backbone import BackboneLimits

Pixels = NDArray[Any]
"""(H, W, 3) or (T, H, W, 3) RGB, uint8 or uint16."""


def frames_to_clip(frames: Sequence[Pixels], device: torch.device) -> Tensor:
    """Turn frames into a clip for a model.

    Args:
        frames: T arrays (H, W, 3) of one size, uint8 or uint16 over the full range.
        device: Where the clip shall be.

    Returns:
        (1, 3, T, H, W) float32 in [-1, 1].

    Raises:
        ValueError: Sizes or types differ, or the type is neither uint8 nor uint16.
    """
    if any((frame.shape, frame.dtype) != (frames[0].shape, frames[0].dtype) for frame in frames):
        raise ValueError("Frames of one clip must have one shape and one pixel type.")
    half_range = _largest_value(frames[0].dtype) / 2
    height, width = frames[0].shape[:2]
    clip = torch.empty(1, 3, len(frames), height, width, device=device)
    # One by one, while what is at work is small enough for the processor's cache.
    for number, frame in enumerate(frames):
        # Planes are sorted out while the values are small: as floats that takes twice as long.
        # In a copy: torch warns of arrays that must not be written to.
        planes = torch.from_numpy(np.array(frame, order="C")).to(device).movedim(-1, 0)
        torch.div(planes.contiguous(), half_range, out=clip[0, :, number]).sub_(1.0)
    return clip


def clip_to_frames(clip: Tensor, dtype: np.dtype[Any] | type[np.generic]) -> Pixels:
    """Turn a clip back into frames: clamped, rounded to nearest.

    Args:
        clip: (1, 3, T, H, W), [-1, 1] and beyond, which is clamped.
        dtype: uint8 or uint16.

    Returns:
        (T, H, W, 3) of that type, over its full range.
    """
    largest = _largest_value(np.dtype(dtype))
    frames = np.empty((*clip.shape[2:], 3), dtype)
    # One by one, while what is at work is small enough for the processor's cache.
    for frame, planes in zip(frames, clip[0].unbind(1), strict=True):
        scaled = planes.to(torch.float32).clamp(-1.0, 1.0).add_(1.0).mul_(largest / 2)
        # Half a step and truncation: round half up, where torch.round would go to even numbers.
        integers = scaled.add_(0.5).to(torch.uint8 if largest == 255 else torch.int32)
        frame[...] = integers.movedim(0, -1).contiguous().cpu().numpy()
    return frames


def enlarge(clip: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge frames by cubic convolution (Keys, 1981), as those were that the models learned from.

    Args:
        clip: (1, 3, T, h, w).
        size: Width and height [pixels], no smaller than the frames'.

    Returns:
        (1, 3, T, H, W); the same clip, where it has that size.
    """
    width, height = size
    if clip.shape[3:] == (height, width):
        return clip
    frames = clip[0].transpose(0, 1)
    # Without `antialias`, which changes nothing else here, torch takes a sharper kernel.
    larger = functional.interpolate(frames, (height, width), mode="bicubic", antialias=True)
    return larger.transpose(0, 1)[None]


def blend(original: Tensor, rebuilt: Tensor, strength: float) -> Tensor:
    """Mix `original + strength * (rebuilt - original)` in float, before any rounding."""
    rebuilt = rebuilt.to(original.dtype)
    return rebuilt if strength == 1.0 else torch.lerp(original, rebuilt, strength)


def padded_size(height: int, width: int, limits: BackboneLimits) -> tuple[int, int]:
    """Smallest accepted (height, width) that holds a clip of this size [pixels]."""
    multiple = limits.size_multiple

    def pad(length: int) -> int:
        return max(-(-length // multiple) * multiple, limits.min_size)

    return pad(height), pad(width)


def pad_clip(clip: Tensor, limits: BackboneLimits, frames: int | None = None) -> Tensor:
    """Repeat the last row, column and frame until the backbone accepts the clip.

    Args:
        clip: (B, 3, T, H, W).
        limits: What the backbone accepts.
        frames: Length to reach in time; None leaves time alone.

    Returns:
        (B, 3, frames, H', W'), the clip in its upper left front corner.
    """
    time, height, width = clip.shape[2:]
    tall, wide = padded_size(height, width, limits)
    back = (frames or time) - time
    if (tall, wide, back) == (height, width, 0):
        return clip
    return functional.pad(clip, (0, wide - width, 0, tall - height, 0, back), mode="replicate")


def _largest_value(dtype: np.dtype[Any]) -> int:
    if dtype == np.uint8:
        return 255
    if dtype == np.uint16:
        return 65535
    raise ValueError(f"Frames must be uint8 or uint16, not {dtype}.")
