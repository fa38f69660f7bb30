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

_SPECTRUM_WIDTH = 64
"""Hidden units of the network that reads the spectrum."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a SiLU; the block starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        _start_at_zero(self.second)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.second(functional.silu(self.first(x)))
        return x + residual


class Fusion(nn.Module):
    """Video cells and attended reference -> residual, (N, 12, H/2, W/2)."""

    def __init__(self, config: MiniConfig, value_channels: int) -> None:
        super().__init__()
        pixels = 3 * CELL**2
        half, quarter, eighth = config.widths
        down_half, down_quarter, middle, up_quarter, up_half = config.depths
        self.widths = config.widths
        self.video = nn.Conv2d(pixels, half, 3, padding=1)
        self.gate = nn.Sequential(
            nn.Conv2d(half + value_channels + 3, 16, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(16, 1, 3, padding=1),
        )
        # Gated values, gated difference to the video, statistics, and whether there is a reference.
        self.reference = nn.Conv2d(value_channels + pixels + 4, half, 3, padding=1)
        # Scale and shift of the features at each resolution.
        self.spectrum = nn.Sequential(
            nn.Linear(config.latent_channels, _SPECTRUM_WIDTH),
            nn.SiLU(),
            nn.Linear(_SPECTRUM_WIDTH, 2 * sum(config.widths)),
        )
        _start_at_zero(self.spectrum[-1])
        self.down_half = _blocks(half, down_half)
        self.to_quarter = nn.Conv2d(half, quarter, 2, stride=2)
        self.down_quarter = _blocks(quarter, down_quarter)
        self.to_eighth = nn.Conv2d(quarter, eighth, 2, stride=2)
        self.middle = _blocks(eighth, middle)
        self.from_eighth = nn.ConvTranspose2d(eighth, quarter, 2, stride=2)
        self.up_quarter = _blocks(quarter, up_quarter)
        self.from_quarter = nn.ConvTranspose2d(quarter, half, 2, stride=2)
        self.up_half = _blocks(half, up_half)
        self.out = nn.Conv2d(half, pixels, 3, padding=1)
        _start_at_zero(self.out)

    def forward(self, frames: Tensor, spectrum: Tensor, attended: Attended | None) -> Tensor:
        """Residual cells for frames (N, 3, H, W) with spectra (N, latent channels)."""
        cells = functional.pixel_unshuffle(frames, CELL)
        x = self.video(cells)
        if attended is not None:
            x = x + self.reference(self._reference_features(cells, x, attended))
        at_half, at_quarter, at_eighth = self._modulations(spectrum.to(x.dtype))
        half = self.down_half(_modulate(x, at_half))
        quarter = self.down_quarter(_modulate(self.to_quarter(half), at_quarter))
        eighth = self.middle(_modulate(self.to_eighth(quarter), at_eighth))
        quarter = self.up_quarter(quarter + self.from_eighth(eighth))
        half = self.up_half(half + self.from_quarter(quarter))
        residual: Tensor = self.out(half)
        return residual

    def _modulations(self, spectrum: Tensor) -> tuple[Tensor, ...]:
        parts: tuple[Tensor, ...] = self.spectrum(spectrum).split([2 * w for w in self.widths], 1)
        return parts

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
        dtype = self.fusion.out.weight.dtype
        residual = self.fusion(frames.to(dtype), spectrum, attended)
        return frames + functional.pixel_shuffle(residual, CELL)


def spectrum_of(latents: Tensor) -> Tensor:
    """How strong each frequency is in whole frames: latents (N, C, h, w) -> (N, C), float32.

    A logarithm, scaled to about [-2, 2]. What a video lost shows in it: blur and scaling take the
    high frequencies, compression leaves few coefficients other than zero.
    """
    return latents.float().abs().mean((2, 3)).add(1e-4).log().add(4).mul(0.5)


def _modulate(x: Tensor, modulation: Tensor) -> Tensor:
    scale, shift = modulation[..., None, None].chunk(2, 1)
    return x * (1 + scale) + shift


def _start_at_zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _blocks(channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(depth)))
