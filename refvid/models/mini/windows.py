"""A frame in windows with context around them: less memory, and the very same pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from refvid.models.mini.matching import TOKEN

HALO_PX = 96
"""Context around a window; the networks see at most 84 pixels to each side."""


def rebuild_in_windows(
    frame: Tensor, tile: int | None, rebuild: Callable[[slice, slice], Tensor]
) -> Tensor:
    """Rebuild a frame, whole or window by window.

    Args:
        frame: (N, 3, H, W), of which the result has size and type.
        tile: Side of the windows [pixels]; None, or a larger one than the frame, is all of it.
        rebuild: Gives (N, 3, h, w) for rows and columns.
    """
    height, width = frame.shape[-2:]
    if tile is None or (height <= tile and width <= tile):
        return rebuild(slice(0, height), slice(0, width))
    side = max(TOKEN, tile // TOKEN * TOKEN)
    rebuilt = torch.empty_like(frame)
    for top in range(0, height, side):
        for left in range(0, width, side):
            rows, columns = _with_halo(top, side, height), _with_halo(left, side, width)
            piece = rebuild(rows, columns)
            inner = slice(top, min(top + side, height)), slice(left, min(left + side, width))
            rebuilt[..., inner[0], inner[1]] = piece[
                ...,
                inner[0].start - rows.start : inner[0].stop - rows.start,
                inner[1].start - columns.start : inner[1].stop - columns.start,
            ]
    return rebuilt


def _with_halo(start: int, side: int, extent: int) -> slice:
    return slice(max(0, start - HALO_PX), min(extent, start + side + HALO_PX))
