"""Where a network's weights lie, and in which precision."""

from __future__ import annotations

import torch
from torch import nn


def place(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Move to the device; change the precision unless that would only take more memory.

    Weights that were left out, on the meta device, stay there.
    """
    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            if parameter.is_meta:
                continue
            keep = parameter.dtype.itemsize < dtype.itemsize
            moved = parameter.data.to(device, None if keep else dtype)
            if device.type == "cuda" and moved.ndim == 5:
                moved = moved.contiguous(memory_format=torch.channels_last_3d)
            parameter.data = moved
