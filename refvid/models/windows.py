"""A frame in windows with context around them: less memory, and the very same pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_MULTIPLE = 8
"""Windows begin and end at multiples of this [pixels]."""


def rebuild_in_windows(
    frame: Tensor, tile: int | None, rebuild: Callable[[slice, slice], Tensor], halo_px: int
) -> Tensor:
    """Rebuild a frame, whole or window by window.

    Args:
        frame: (N, 3, H, W), of which the result has size and type.
        tile: Side of the windows [pixels]; None, or a larger one than the frame, is all of it.
        rebuild: Gives (N, 3, h, w) for rows and columns.
        halo_px: Context around a window: what the network sees to each side, and a multiple of 8.
    """
    height, width = frame.shape[-2:]
    if tile is None or (height <= tile and width <= tile):
        return rebuild(slice(0, height), slice(0, width))
    side = max(_MULTIPLE, tile // _MULTIPLE * _MULTIPLE)
    rebuilt = torch.empty_like(frame)
    for top in range(0, height, side):
        for left in range(0, width, side):
            rows = _with_halo(top, side, height, halo_px)
            columns = _with_halo(left, side, width, halo_px)
            piece = rebuild(rows, columns)
            inner = slice(top, min(top + side, height)), slice(left, min(left + side, width))
            rebuilt[..., inner[0], inner[1]] = piece[
                ...,
                inner[0].start - rows.start : inner[0].stop - rows.start,
                inner[1].start - columns.start : inner[1].stop - columns.start,
            ]
    return rebuilt


def _with_halo(start: int, side: int, extent: int, halo_px: int) -> slice:
    return slice(max(0, start - halo_px), min(extent, start + side + halo_px))
