"""Box means: what is smooth in a picture, and by difference what is detail.

All of them add shifted pictures: on a processor that is some ten times as fast as torch's pooling,
which goes from window to window.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def box_mean(pictures: Tensor, size: int) -> Tensor:
    """Mean over `size` x `size` pixels around each; at the border over those that there are.

    Args:
        pictures: (N, C, H, W).
        size: Odd [pixels].
    """
    height, width = pictures.shape[2:]
    down, across = (_inside(side, size, pictures) for side in (height, width))
    return _sum_around(_sum_around(pictures, size, 2), size, 3) / torch.outer(down, across)


def cell_mean(pictures: Tensor, side: int) -> Tensor:
    """Means of cells of `side` x `side` pixels that lie side by side.

    Args:
        pictures: (..., H, W); pixels beyond the last whole cell are left out.
        side: Of the cells [pixels].
    """
    if side == 1:
        return pictures
    height, width = (length // side * side for length in pictures.shape[-2:])
    down = sum(pictures[..., n:height:side, :width] for n in range(side))
    assert isinstance(down, Tensor), "a cell has pixels"
    across = sum(down[..., n::side] for n in range(side))
    assert isinstance(across, Tensor), "a cell has pixels"
    return across / side**2


def _sum_around(pictures: Tensor, size: int, axis: int) -> Tensor:
    half, length = size // 2, pictures.shape[axis]
    border = (0, 0, half, half) if axis == 2 else (half, half, 0, 0)
    padded = functional.pad(pictures, border)
    total = padded.narrow(axis, 0, length).clone()
    for shift in range(1, size):
        total += padded.narrow(axis, shift, length)
    return total


def _inside(length: int, size: int, like: Tensor) -> Tensor:
    """(length,) how many pixels of a window around each lie within the picture."""
    half, place = size // 2, torch.arange(length, device=like.device)
    counts = (place + half + 1).clamp(max=length) - (place - half).clamp(min=0)
    return counts.to(like.dtype)
