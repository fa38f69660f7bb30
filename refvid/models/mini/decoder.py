"""The decoder: latents back to pixels, with the detail that the reference still has.

The exact inverse of the codec is the base; the fusion network adds a change that starts at zero.
"""

from __future__ import annotations

from torch import Tensor, nn

from refvid.models.mini.config import MiniConfig
from refvid.models.mini.fusion import Aligned, Fusion


class MiniDecoder(nn.Module):
    """Everything that learns."""

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.fusion = Fusion(config)

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
