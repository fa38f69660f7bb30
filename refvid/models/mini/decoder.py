"""The decoder: latents back to pixels, with the detail that the reference still has.

The exact inverse of the codec is the base. On top of it a small U-shaped network adds a residual
that starts at zero: it sees the decoded frame, what the reference attention found for every cell,
and how far that can be trusted. The spectrum of the latents tells it what the whole frame lost:
sharpening what was blurred is right, sharpening what was compressed is not, and a small window does
not show which it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.models.mini.attention import CELL, Attended, ReferenceAttention
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.pyramid import Pyramid


class Fusion(nn.Module):
    """Video cells and attended reference -> residual, (N, 12, H/2, W/2)."""

    def __init__(self, config: MiniConfig, value_channels: int) -> None:
        super().__init__()
        pixels = 3 * CELL**2
        half = config.widths[0]
        self.video = nn.Conv2d(pixels, half, 3, padding=1)
        self.gate = nn.Sequential(
            nn.Conv2d(half + value_channels + 3, 16, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(16, 1, 3, padding=1),
        )
        # Gated values, gated difference to the video, statistics, and whether there is a reference.
        self.reference = nn.Conv2d(value_channels + pixels + 4, half, 3, padding=1)
        self.pyramid = Pyramid(config.widths, config.depths, config.latent_channels, pixels)

    def forward(self, frames: Tensor, spectrum: Tensor, attended: Attended | None) -> Tensor:
        """Residual cells for frames (N, 3, H, W) with spectra (N, latent channels)."""
        cells = functional.pixel_unshuffle(frames, CELL)
        x = self.video(cells)
        if attended is not None:
            x = x + self.reference(self._reference_features(cells, x, attended))
        residual: Tensor = self.pyramid(x, spectrum.to(x.dtype))
        return residual

    def _reference_features(self, cells: Tensor, x: Tensor, attended: Attended) -> Tensor:
        values, statistics = attended.values, attended.statistics
        gate = torch.sigmoid(self.gate(torch.cat((x, values, statistics), 1)))
        difference = values[:, : cells.shape[1]] - cells
        present = torch.ones_like(gate)
        return torch.cat((values * gate, difference * gate, statistics, present), 1)


class MiniDecoder(nn.Module):
    """Reference attention and fusion over decoded frames."""

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.attention = ReferenceAttention(config)
        self.fusion = Fusion(config, self.attention.value_channels)

    def forward(self, frames: Tensor, spectrum: Tensor, attended: Attended | None = None) -> Tensor:
        """Frames (N, 3, H, W) plus the residual, not clamped.

        The sum keeps the precision of `frames`, whatever the network computes in.

        Args:
            frames: As the codec decodes them, in [-1, 1].
            spectrum: (N, latent channels) of the whole frames, see `spectrum_of`.
            attended: What the reference gives, or None.
        """
        dtype = self.fusion.video.weight.dtype
        residual = self.fusion(frames.to(dtype), spectrum, attended)
        return frames + functional.pixel_shuffle(residual, CELL)


def spectrum_of(latents: Tensor) -> Tensor:
    """How strong each frequency is in whole frames: latents (N, C, h, w) -> (N, C), float32.

    A logarithm, scaled to about [-2, 2]. What a video lost shows in it: blur and scaling take the
    high frequencies, compression leaves few coefficients other than zero.
    """
    return latents.float().abs().mean((2, 3)).add(1e-4).log().add(4).mul(0.5)
