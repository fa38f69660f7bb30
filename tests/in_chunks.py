"""What a backbone makes of chunks, put together."""

from __future__ import annotations

import torch
from torch import Tensor

from refvid.models.backbone import Decoded


def join(done: Tensor | None, decoded: Decoded) -> Tensor:
    """Add a chunk (B, 3, T, H, W) to those before it, whose last frames it may give once more."""
    if done is None:
        return decoded.clip
    return torch.cat((done[:, :, : done.shape[2] - decoded.revised], decoded.clip), 2)
