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

_HIDDEN = 72
"""Units of `ChangeShare`: those of three fits of 24 each."""


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
        share = torch.sigmoid(_in_full(self, condition.float()))[:, 0]
        return torch.where(share < _LEAST_SHARE, 0.0, share)


class ChangeShare(nn.Module):
    """How much of the network's change counts for a frame without a reference, by what it lost.

    A picture that is soft on purpose and nearly clean is not to be sharpened. One that compression
    has worked on tells itself by more than its spectrum, which is all that single crops taught.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(CONDITION_CHANNELS, _HIDDEN)
        self.answer = nn.Linear(_HIDDEN, 1)
        nn.init.zeros_(self.answer.weight)
        nn.init.constant_(self.answer.bias, 10.0)
        # The rest learns from single frames; this is fitted by `refvid.training.change_fit`.
        self.requires_grad_(False)

    def forward(self, condition: Tensor) -> Tensor:
        """(N, CONDITION_CHANNELS), see `measure_losses` -> (N,) in [0, 1]."""
        hidden = functional.silu(_in_full(self.hidden, condition.float()))
        share = torch.sigmoid(_in_full(self.answer, hidden))[:, 0]
        return torch.where(share < _LEAST_SHARE, 0.0, share)


def _in_full(layer: nn.Linear, inputs: Tensor) -> Tensor:
    """A layer's result in full precision, whatever its weights are kept in."""
    return functional.linear(inputs, layer.weight.float(), layer.bias.float())


class MiniDecoder(nn.Module):
    """Everything that learns."""

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.fusion = Fusion(config)
        self.neighbours = NeighbourShare() if config.weighs_neighbours else None
        self.change = ChangeShare() if config.weighs_change else None

    def shares(self, condition: Tensor) -> tuple[float, float]:
        """How much the change of a frame counts, and what its neighbours say, each in [0, 1].

        Args:
            condition: (1, CONDITION_CHANNELS), see `measure_losses`.
        """
        judges = [judge for judge in (self.change, self.neighbours) if judge is not None]
        # In one copy, before the frame is rebuilt: a graphics card is waited for once.
        told = torch.cat([judge(condition) for judge in judges]).tolist() if judges else []
        of_change = told[0] if self.change is not None else 1.0
        of_neighbours = told[-1] if self.neighbours is not None else 0.0
        return of_change, of_neighbours

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
