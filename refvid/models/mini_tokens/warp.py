"""Pictures moved by a flow."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def warp(pictures: Tensor, flow: Tensor) -> Tensor:
    """Look up every pixel where a flow says; beyond the border it goes on with what is at it.

    Args:
        pictures: (N, C, H, W).
        flow: (N, 2, H, W): x and y displacement [pixels].

    Returns:
        (N, C, H, W) float32, in full precision whatever the caller's autocast says.
    """
    height, width = flow.shape[-2:]
    with torch.autocast(flow.device.type, enabled=False):
        x = torch.arange(width, device=flow.device) + flow[:, 0].float()
        y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1].float()
        grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), -1)
        return functional.grid_sample(
            pictures.float(), grid, padding_mode="border", align_corners=False
        )
