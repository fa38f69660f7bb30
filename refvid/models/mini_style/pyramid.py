"""The U-shaped network of the small decoders: features at 1/2, 1/4 and 1/8 of the frame's size."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

_CONDITION_WIDTH = 64
"""Hidden units of the network that reads the condition."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a SiLU; the block starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        start_at_zero(self.second)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.second(functional.silu(self.first(x)))
        return x + residual


class Pyramid(nn.Module):
    """Down and up again; a vector scales and shifts the features on the way down."""

    def __init__(
        self,
        widths: tuple[int, int, int],
        depths: tuple[int, int, int, int, int],
        condition_channels: int,
        out_channels: int,
    ) -> None:
        super().__init__()
        half, quarter, eighth = self.widths = widths
        down_half, down_quarter, middle, up_quarter, up_half = depths
        self.condition = nn.Sequential(
            nn.Linear(condition_channels, _CONDITION_WIDTH),
            nn.SiLU(),
            nn.Linear(_CONDITION_WIDTH, 2 * sum(widths)),
        )
        start_at_zero(self.condition[-1])
        self.down_half = _blocks(half, down_half)
        self.to_quarter = nn.Conv2d(half, quarter, 2, stride=2)
        self.down_quarter = _blocks(quarter, down_quarter)
        self.to_eighth = nn.Conv2d(quarter, eighth, 2, stride=2)
        self.middle = _blocks(eighth, middle)
        self.from_eighth = nn.ConvTranspose2d(eighth, quarter, 2, stride=2)
        self.up_quarter = _blocks(quarter, up_quarter)
        self.from_quarter = nn.ConvTranspose2d(quarter, half, 2, stride=2)
        self.up_half = _blocks(half, up_half)
        self.out = nn.Conv2d(half, out_channels, 3, padding=1)
        start_at_zero(self.out)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(N, widths[0], h, w), h and w multiples of 4; condition (N, C) -> (N, out, h, w)."""
        parts = self.condition(condition).split([2 * width for width in self.widths], 1)
        at_half, at_quarter, at_eighth = parts
        half = self.down_half(_modulate(x, at_half))
        quarter = self.down_quarter(_modulate(self.to_quarter(half), at_quarter))
        eighth = self.middle(_modulate(self.to_eighth(quarter), at_eighth))
        quarter = self.up_quarter(quarter + self.from_eighth(eighth))
        half = self.up_half(half + self.from_quarter(quarter))
        result: Tensor = self.out(half)
        return result


def start_at_zero(layer: nn.Module) -> None:
    """Let a layer give zeros until it has learned something."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _modulate(x: Tensor, modulation: Tensor) -> Tensor:
    scale, shift = modulation[..., None, None].chunk(2, 1)
    return x * (1 + scale) + shift


def _blocks(channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(depth)))
