"""The fusion network: from the video and the aligned reference to the pixels that were lost.

It works on cells of 4x4 pixels, where a convolution costs a quarter of what it does on 2x2, and
answers in their frequencies: a residual, and for every frequency of every cell how much it takes of
two proposals. One is the reference's detail in place of the video's own. The other is the video,
filtered in the way that the condition calls for: against blur alone, a linear filter is nearly all
that can be done. Neither proposal passes through the cells' narrow features, which would lose some
of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.models.mini.condition import CONDITION_CHANNELS
from refvid.models.mini.config import MiniConfig
from refvid.models.patch_codec import patch_basis

CELL = 4
"""Side of a cell [pixels]."""

_CELL_VALUES = 3 * CELL**2

TRUST_CHANNELS = 3
"""What alignment says of every cell, see `refvid.models.mini.alignment.Found`."""

_UNSEEN = 1.5 / 127.5
"""Root mean square of a change that counts half [levels, of [-1, 1]]. Smaller ones are mostly what
conversions of the training clips do to colours, and would shift those of clean pictures."""

_GATE_START = -2.0
"""A gate starts at sigmoid(-2): a little of each proposal, so that it learns from the start."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """A reference as frames would see it."""

    pixels: Tensor
    """(N, 3, H, W) in [-1, 1]: its detail, with the frames' own colours; see `take_colors`."""

    trust: Tensor
    """(N, 3, H/4, W/4): how far each cell can be trusted."""


class FusionBlock(nn.Module):
    """Two 3x3 convolutions, told by the condition; the block starts as the identity."""

    def __init__(self, channels: int, condition_width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(condition_width, 2 * channels)
        start_at_zero(self.second)
        start_at_zero(self.modulation)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.modulation(told)[..., None, None].chunk(2, 1)
        told_so = torch.addcmul(shift, self.first(x), 1 + scale)
        residual: Tensor = self.second(functional.silu(told_so))
        return x + residual


class ConditionedFilter(nn.Module):
    """A 3x3 convolution whose kernel is a mixture of learned ones, mixed by the condition."""

    def __init__(self, channels: int, kernels: int, condition_width: int) -> None:
        super().__init__()
        self.kernels = nn.Parameter(torch.zeros(kernels, channels * channels * 9))
        self.mixture = nn.Linear(condition_width, kernels)

    def forward(self, cells: Tensor, told: Tensor) -> Tensor:
        """Filter cells (N, C, h, w), each with a kernel of its own."""
        batch, channels = cells.shape[:2]
        shares = self.mixture(told).softmax(1)
        mixed = (shares @ self.kernels.to(shares.dtype)).view(-1, channels, 3, 3)
        mixed = mixed.contiguous(memory_format=torch.channels_last)  # else the result is not
        side_by_side = cells.reshape(1, -1, *cells.shape[2:])
        filtered = functional.conv2d(side_by_side, mixed, padding=1, groups=batch)
        return filtered.view_as(cells)


class Fusion(nn.Module):
    """Frames, their condition and an aligned reference -> the change of every pixel."""

    basis: Tensor

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        width, wide = config.width, config.wide
        before, middle, after = config.depths
        told = config.condition_width
        # The network computes in bfloat16; frequencies of a cell are within its precision.
        self.register_buffer("basis", patch_basis(CELL, CELL), persistent=False)
        self.condition = nn.Sequential(
            nn.Linear(CONDITION_CHANNELS, told), nn.SiLU(), nn.Linear(told, told), nn.SiLU()
        )
        self.video = nn.Conv2d(_CELL_VALUES, width, 3, padding=1)
        self.reference = nn.Conv2d(_CELL_VALUES + TRUST_CHANNELS, width, 3, padding=1)
        self.before = _blocks(width, before, told)
        self.down = nn.Conv2d(width, wide, 2, stride=2)
        self.middle = _blocks(wide, middle, told)
        self.up = nn.ConvTranspose2d(wide, width, 2, stride=2)
        self.after = _blocks(width, after, told)
        self.filter = ConditionedFilter(_CELL_VALUES, config.kernels, told)
        self.out = nn.Conv2d(width, 3 * _CELL_VALUES, 3, padding=1)
        start_at_zero(self.out)
        with torch.no_grad():
            self.out.bias[_CELL_VALUES:] = _GATE_START  # type: ignore[index]  # it has a bias

    def forward(self, frames: Tensor, condition: Tensor, aligned: Aligned | None) -> Tensor:
        """Change of frames (N, 3, H, W) in [-1, 1], H and W multiples of 8, of their size.

        Args:
            frames: As the codec decodes them.
            condition: (N, CONDITION_CHANNELS), see `measure_losses`.
            aligned: The reference, or None.
        """
        dtype = self.video.weight.dtype
        told = self.condition(condition.to(dtype))
        cells = _to_cells(frames.to(dtype), torch.eye(_CELL_VALUES, device=frames.device))
        x = self.video(cells)
        difference = None
        if aligned is not None:
            difference = _to_cells((aligned.pixels - frames).to(dtype), self.basis)
            trust = aligned.trust.to(dtype).contiguous(memory_format=torch.channels_last)
            x = x + self.reference(torch.cat((difference, trust), 1))
        for block in self.before:
            x = block(x, told)
        wide = self.down(x)
        for block in self.middle:
            wide = block(wide, told)
        x = x + self.up(wide)
        for block in self.after:
            x = block(x, told)
        answer = self.out(x)
        residual = answer[:, :_CELL_VALUES]
        # Of all of it: what lies together is computed several times as fast as parts of it.
        _, filtering, copying = torch.sigmoid(answer).chunk(3, 1)
        residual = residual + filtering * self.filter(cells, told)
        if difference is not None:
            residual = residual + copying * difference
        return functional.pixel_shuffle(self._pixels(leave_unseen(residual)), CELL)

    def _pixels(self, frequencies: Tensor) -> Tensor:
        return functional.conv2d(frequencies, self.basis.T[:, :, None, None].to(frequencies.dtype))


def leave_unseen(change: Tensor) -> Tensor:
    """Leave out what is too small to be seen of changes of cells (N, C, h, w), by neighbourhood.

    Args:
        change: In frequencies of an orthonormal basis: their energy is that of the pixels.
    """
    size = torch.linalg.vector_norm(change, dim=1, keepdim=True, dtype=torch.float32)
    energy = size.square() / change.shape[1]
    around = functional.avg_pool2d(energy, 3, stride=1, padding=1, count_include_pad=False)
    seen = change * (around / (around + _UNSEEN**2)).to(change.dtype)
    # At zero, where training begins, this has no gradient: there, it has that of the change.
    return change + (seen - change).detach() if change.requires_grad else seen


def take_colors(aligned: Tensor, frames: Tensor) -> Tensor:
    """Give an aligned reference the frames' large-scale light and colour.

    What a degraded frame still has is its low frequencies. With them taken from it, another
    exposure or white balance of the reference, or light that changes over the shot, leaves nothing
    but a difference in contrast.

    Args:
        aligned: (N, 3, H, W) in [-1, 1].
        frames: Of the same shape.
    """
    offset = functional.avg_pool2d(frames - aligned, 8, ceil_mode=True, count_include_pad=False)
    offset = functional.avg_pool2d(offset, 3, stride=1, padding=1, count_include_pad=False)
    size = frames.shape[-2:]
    # With `antialias`, which changes nothing where pictures become larger, it takes half as long.
    return aligned + functional.interpolate(offset, size=size, mode="bilinear", antialias=True)


def _to_cells(pixels: Tensor, basis: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 48, H/4, W/4) in memory format channels_last.

    A convolution does it several times as fast as permutations do.

    Args:
        pixels: Of the network's type.
        basis: (48, 48), a row for each value of a cell; columns in the order of `pixel_unshuffle`.
    """
    kernels = basis.to(pixels.dtype).view(-1, 3, CELL, CELL)
    kernels = kernels.contiguous(memory_format=torch.channels_last)  # else the result is not
    return functional.conv2d(pixels, kernels, stride=CELL)


def _blocks(channels: int, depth: int, condition_width: int) -> nn.ModuleList:
    return nn.ModuleList(FusionBlock(channels, condition_width) for _ in range(depth))


def start_at_zero(layer: nn.Module) -> None:
    """Let a layer give zeros until it has learned something."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
