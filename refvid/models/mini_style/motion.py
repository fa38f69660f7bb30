"""Motion from frame to frame, to the pixel: one translation per token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from refvid.models.matching import (
    TOKEN,
    index_reference,
    last_corner,
    match_tokens,
    place,
    steps_around,
)
from refvid.models.mini_style.tokens import PATCH, STRIDE, cut_patches, join_patches

_FOLLOWS = 0.06
"""A block whose pixels differ by this much [of a range of 2] half follows the motion."""


_APART = 1e-3
"""What a pixel of difference to each neighbour's motion costs, in mean absolute difference."""

_FAR = 4
"""Beyond so many pixels neighbours are different things, and it costs no more."""

_ABOUT, _NOISE = 1.15, 2e-3
"""An error that is larger by this factor and sum is about as good."""

_SWEEPS = 3


@dataclass(frozen=True, slots=True)
class Motion:
    """Where 8x8 blocks of a frame were in the frame before."""

    position: Tensor
    """(rows, columns, 2) int64: row and column of the block's corner there [pixels]."""

    trust: Tensor
    """(rows, columns) from 0, the block was not there, to 1, it is the same there."""


def find_motion(frame: Tensor, before: Tensor, prior: Motion | None = None) -> Motion:
    """Find where the blocks of a frame were in another.

    Where nothing tells how a block moved, a flat wall or a long edge, it moves as its neighbours
    do: what is painted on it must not wander.

    Args:
        frame: (3, H, W) in [-1, 1]; H and W multiples of 8.
        before: The other one, of the same size.
        prior: Where the blocks of the frame before `frame` were in it.
    """
    known = None if prior is None else prior.position.view(1, -1, 2)
    matches = match_tokens(frame[None], index_reference(before[None]), known)
    height, width = frame.shape[1:]
    search = _Search(frame, before, matches.position[0].view(height // TOKEN, width // TOKEN, 2))
    center = search.position
    for step in steps_around(1, 1, frame.device):
        search.offer(center + step)
    search.rest()
    for _ in range(_SWEEPS):
        search.agree()
    trust = (1 + (search.error / _FOLLOWS) ** 4).reciprocal()
    return Motion(search.position, trust)


class _Search:
    """Best place so far of every block."""

    def __init__(self, frame: Tensor, before: Tensor, position: Tensor) -> None:
        # Brightness tells motion nearly as well as colour, at a third of the cost.
        self.blocks = _blocks(frame.mean(0))
        self.places = before.mean(0)
        self.high = last_corner(frame.shape[1], frame.shape[2], frame.device)
        self.low = torch.zeros_like(self.high)
        rows, columns = position.shape[:2]
        row = torch.arange(rows, device=position.device) * TOKEN
        column = torch.arange(columns, device=position.device) * TOKEN
        self.home = torch.stack(torch.meshgrid(row, column, indexing="ij"), -1)
        parity = row[:, None] // TOKEN + column // TOKEN
        self.even = parity % 2 == 0
        self.position = position.clamp(self.low, self.high)
        self.error = self._error(self.position)

    def offer(self, position: Tensor) -> None:
        """Take places where blocks differ less."""
        position = position.clamp(self.low, self.high)
        error = self._error(position)
        self._take(position, error, error < self.error)

    def rest(self) -> None:
        """Stand still where that explains the block about as well: noise has no motion."""
        error = self._error(self.home.clamp(self.low, self.high))
        self._take(self.home, error, error < _ABOUT * self.error + _NOISE)

    def agree(self) -> None:
        """Take a neighbour's motion, or none, where it explains the block about as well."""
        for turn in (self.even, ~self.even):
            motion = self.position - self.home
            around = _neighbours(motion)
            for candidate in (*around, torch.zeros_like(motion)):
                position = (self.home + candidate).clamp(self.low, self.high)
                error = self._error(position)
                price, other = (
                    sum((moved - near).abs().sum(-1).clamp(max=_FAR) for near in around)
                    for moved in (self.position - self.home, position - self.home)
                )
                better = error + _APART * other < self.error + _APART * price
                self._take(position, error, better & turn)

    def _take(self, position: Tensor, error: Tensor, better: Tensor) -> None:
        self.position = torch.where(better[..., None], position, self.position)
        self.error = torch.where(better, error, self.error)

    def _error(self, position: Tensor) -> Tensor:
        found = _cut(self.places, position.view(-1, 2))
        return (found - self.blocks).abs_().mean((1, 2)).view(position.shape[:2])


def _blocks(light: Tensor) -> Tensor:
    """(H, W) -> (blocks, 8, 8)."""
    height, width = light.shape
    blocks = light.view(height // TOKEN, TOKEN, width // TOKEN, TOKEN)
    return blocks.transpose(1, 2).reshape(-1, TOKEN, TOKEN)


def _cut(light: Tensor, corners: Tensor) -> Tensor:
    """Blocks at any corner of a (H, W) picture: (M, 8, 8)."""
    width = light.shape[1]
    runs = light.view(-1).as_strided((light.numel() - TOKEN + 1, TOKEN), (1, 1))
    rows = torch.arange(TOKEN, device=light.device) * width
    start = corners[:, 0] * width + corners[:, 1]
    return runs[(start[:, None] + rows).flatten()].view(-1, TOKEN, TOKEN)


def spread(values: Tensor) -> Tensor:
    """Per-block values (rows, columns) -> smooth per-pixel (8 rows, 8 columns)."""
    return functional.interpolate(
        values[None, None], scale_factor=TOKEN, mode="bilinear", align_corners=False
    )[0, 0]


def move(picture: Tensor, motion: Motion) -> Tensor:
    """Move a picture (C, H, W) along: 16-pixel windows around every 8-pixel block, cross-faded."""
    rows, columns = motion.position.shape[:2]
    device = picture.device
    grid = torch.stack(
        torch.meshgrid(
            torch.arange(-1, rows + 1, device=device),
            torch.arange(-1, columns + 1, device=device),
            indexing="ij",
        ),
        -1,
    ).mul(STRIDE)
    moved = (motion.position - grid[1:-1, 1:-1]).permute(2, 0, 1)[None].float()
    # One more row and column around repeat the motion of the border.
    moved = functional.pad(moved, (1, 1, 1, 1), mode="replicate")[0].permute(1, 2, 0).long()
    padded = functional.pad(picture[None], (PATCH,) * 4, mode="replicate")[0]
    source = padded.permute(1, 2, 0).contiguous()[None]
    half = STRIDE // 2
    corners = (grid - half + moved + PATCH).clamp(min=0)
    last = place(source.shape[1] - PATCH, source.shape[2] - PATCH, device)
    corners = torch.minimum(corners, last)
    patches = cut_patches(source, functional.pad(corners, (1, 0)).view(-1, 3))
    joined = join_patches(patches, (rows + 2, columns + 2))
    return joined[:, half : half + rows * STRIDE, half : half + columns * STRIDE]


def _neighbours(field: Tensor) -> list[Tensor]:
    """The four shifts of a (rows, columns, 2) field, with the border repeated."""
    return [
        torch.cat((field[:1], field[:-1])),
        torch.cat((field[1:], field[-1:])),
        torch.cat((field[:, :1], field[:, :-1]), 1),
        torch.cat((field[:, 1:], field[:, -1:]), 1),
    ]
