"""What a shot's next frames need of those before: where it waits, and parts of it.

Each layer that looks back in time keeps its last input frames. That makes gigabytes at the size of
a film. Where a card is short of memory they wait in main memory, and only what a part of the
network needs for a strip of the frame comes to the device.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from refvid.models.tiles import Span

Past = dict[nn.Module, Tensor]
"""The last input frames, (B, 1 or 2, H, W, C), of each layer that looks back in time."""


def fetch(past: Past | None, device: torch.device) -> Past:
    """Give a past of its own to each call, on the device that computes; states do not change."""
    return {layer: _bring(tensor, device) for layer, tensor in (past or {}).items()}


def take_rows(past: Past, rows: Span, height: int, device: torch.device) -> Past:
    """Give layers what they need of a strip.

    Args:
        past: Of whole frames, on any device; it does not change.
        rows: The strip, in rows of the frame that the first layer sees.
        height: Of that frame. Layers behind a step to half the size keep half the rows.
        device: Where they run.
    """
    return {layer: _bring(_rows(tensor, rows, height), device) for layer, tensor in past.items()}


def put_rows(
    past: Past, strip: Past, core: Span, seen: Span, height: int, home: torch.device
) -> None:
    """Note what layers have left of a strip.

    Args:
        past: Of whole frames; made where there is none yet.
        strip: What they have left of the rows that they have seen.
        core: The rows that count.
        seen: Those and the rows around.
        height: Of the frame.
        home: The device on which the past waits.
    """
    if core.length == height:
        past.update(fetch(strip, home))
        return
    inside = Span(core.start - seen.start, core.stop - seen.start)
    for layer, tensor in strip.items():
        if layer not in past:
            shape = list(tensor.shape)
            shape[2] = shape[2] * height // seen.length
            past[layer] = tensor.new_empty(shape, device=home)
        rows = _rows(tensor, inside, seen.length)
        _rows(past[layer], core, height).copy_(_bring(rows, home))


def _rows(tensor: Tensor, rows: Span, height: int) -> Tensor:
    """Rows of (B, T, H, W, C), given in those of a frame of some height."""
    start, stop = (row * tensor.shape[2] // height for row in rows)
    return tensor[:, :, start:stop]


def _bring(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device)
