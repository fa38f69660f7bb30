"""The decoder: latents back to pixels, with the detail that the reference still has.

The exact inverse of the codec is the base; the fusion network adds a change that starts at zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.models.mini.condition import CONDITION_CHANNELS
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.fusion import Aligned, Fusion

_LEAST_SHARE = 0.05
"""Less is not worth its time."""


class NeighbourShare(nn.Linear):
    """How much of what its neighbours say counts for a frame, by what it lost.

    Of a clean video nothing does: there, the mean over frames only takes away what is fine.
    """

    def __init__(self) -> None:
        super().__init__(CONDITION_CHANNELS, 1)
        nn.init.zeros_(self.weight)
        nn.init.constant_(self.bias, -10.0)
        # The rest learns from single frames; this is fitted by `refvid.training.neighbour_fit`.
        self.requires_grad_(False)

    def forward(self, condition: Tensor) -> Tensor:
        """(N, CONDITION_CHANNELS), see `measure_losses` -> (N,) in [0, 1]."""
        share = torch.sigmoid(
            functional.linear(condition.float(), self.weight.float(), self.bias.float())
        )[:, 0]
        return torch.where(share < _LEAST_SHARE, 0.0, share)


class MiniDecoder(nn.Module):
    """Everything that learns."""

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.fusion = Fusion(config)
        self.neighbours = NeighbourShare() if config.weighs_neighbours else None

    def forward(self, frames: Tensor, condition: Tensor, aligned: Aligned | None = None) -> Tensor:
        """Frames (N, 3, H, W) plus their change, not clamped.

        The sum keeps the precision of `frames`, whatever the network computes in.

        Args:
            frames: As the codec decodes them, in [-1, 1].
            condition: (N, C) of the whole frames, see `measure_losses`.
            aligned: The reference as the frames see it, or None.
        """
        change: Tensor = self.fusion(frames, condition, aligned)
        return frames + change
