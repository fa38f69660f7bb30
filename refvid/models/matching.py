"""Where in the reference to look: one place per token, found without learned weights.

Coarse to fine on colour differences, because what a degraded frame still shares with the clean
reference is its low frequencies. Each level answers one question:

1. Anywhere: 24-pixel patches, one per 16 pixels, against the whole reference.
2. Which hypothesis: every 8-pixel token weighs its neighbours' coarse answers, where it was in the
   frame before (the causal state), and no motion at all.
3. Where exactly: small steps at 1/4, then at 1/2 resolution, with one exchange between
   neighbouring tokens.

All of it is exact integer search and runs without gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

TOKEN = 8
"""Side of a token [pixels]."""

MAX_COARSE_TOKENS = 4096
"""Larger frames search anywhere on a smaller picture, so that the cost stays linear in pixels."""

_COARSE_QUERIES_AT_ONCE = 512
"""Bounds the memory of the search anywhere."""

_P = ParamSpec("_P")
_R = TypeVar("_R")

_DISTANCE_PENALTY = 2e-6
"""Cost per squared pixel of displacement: in flat areas staying is as good as going."""


@dataclass(frozen=True, slots=True)
class MatchIndex:
    """What matching needs of a reference; made once per clip."""

    size: tuple[int, int]
    """Height and width of the reference [pixels]."""

    coarse_scale: int
    """Pixels per pixel of the picture on which level 1 works."""

    coarse_keys: Tensor
    """(B, K, D): patches at stride 2 of that picture, see `_coarse_keys`."""

    coarse_grid: tuple[int, int]
    quarter: Tensor
    """(B, P, 48): 4x4 colour patches around every position at 1/4 resolution."""

    half: Tensor
    """(B, P, 36): 6x6 luma patches around every position at 1/2 resolution."""


@dataclass(frozen=True, slots=True)
class Matches:
    """One place in the reference per token."""

    position: Tensor
    """(N, M, 2) int64: row and column of the matched token's corner in the reference [pixels]."""

    cost: Tensor
    """(N, M) mean squared luma difference at 1/2 resolution, pixels in [-1, 1]."""


def _exact(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run without gradients and in full precision, whatever the caller's autocast says."""

    @wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with (
            torch.no_grad(),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False),
        ):
            return function(*args, **kwargs)

    return run


@_exact
def index_reference(reference: Tensor) -> MatchIndex:
    """Prepare a reference (B, 3, H, W) in [-1, 1]; H and W multiples of 8."""
    height, width = reference.shape[-2:]
    scale = _coarse_scale(height, width)
    coarse = functional.avg_pool2d(reference, scale, ceil_mode=True)
    patches, grid = _patches(coarse, size=6, core=4, stride=2)
    keys = _coarse_keys(patches, _grid(*grid, 2 * scale, reference.device))
    quarter, _ = _patches(functional.avg_pool2d(reference, 4), size=4, core=2, stride=1)
    half, _ = _patches(_luma(functional.avg_pool2d(reference, 2)), size=6, core=4, stride=1)
    return MatchIndex((height, width), scale, keys, grid, quarter, half)


@_exact
def match_tokens(
    frames: Tensor,
    index: MatchIndex,
    prior: Tensor | None = None,
    origin: Tensor | None = None,
) -> Matches:
    """Find every token of the frames in the reference.

    Args:
        frames: (B, 3, H, W) in [-1, 1], one frame per reference; H and W multiples of 8.
        index: Of B references.
        prior: (B, M, 2) positions of the frame before, or None.
        origin: (B, 2) where the frames' corner lies in the reference when they are crops of a
            larger picture [pixels]; None is (0, 0).

    Returns:
        Matches with N = B.
    """
    batch, _, height, width = frames.shape
    rows, columns = height // TOKEN, width // TOKEN
    home = _token_corners(rows, columns, frames.device)
    home = home[None] + (0 if origin is None else origin[:, None])
    home = home.expand(batch, -1, -1)
    search = _Search(frames, index, home, (rows, columns))

    search.try_positions(home)
    if prior is not None:
        search.try_positions(prior)
        search.exchange()
    coarse = _match_anywhere(frames, index, origin)
    for shifted in (coarse, *_neighbours(coarse)):
        search.try_positions(home + _spread(shifted, rows, columns))
    search.step()
    search.exchange()
    search.step()
    return _refine_half(frames, index, search.position, home)


def _match_anywhere(frames: Tensor, index: MatchIndex, origin: Tensor | None) -> Tensor:
    """Level 1: (B, rows, columns, 2) displacements [pixels] of coarse tokens."""
    batch, device = frames.shape[0], frames.device
    scale = index.coarse_scale
    coarse = functional.avg_pool2d(frames, scale, ceil_mode=True)
    queries, (rows, columns) = _patches(coarse, size=6, core=4, stride=4)
    query_place = _grid(rows, columns, 4 * scale, device).expand(batch, -1, -1)
    if origin is not None:
        query_place = query_place + origin[:, None]
    queries = torch.cat((queries, query_place, torch.ones_like(query_place[..., :1])), -1)
    keys = index.coarse_keys.transpose(1, 2)
    best = torch.cat(
        [
            torch.bmm(part, keys).argmin(-1)
            for part in torch.split(queries, _COARSE_QUERIES_AT_ONCE, 1)
        ],
        1,
    )
    found = _grid(*index.coarse_grid, 2 * scale, device)[best]
    return (found - query_place).view(batch, rows, columns, 2).round().long()


def _coarse_keys(patches: Tensor, place: Tensor) -> Tensor:
    """Keys whose product with [patch, place, 1] ranks as |q - k|^2 plus the distance penalty.

    |q|^2 is left out: it is the same for all keys.
    """
    weight = _DISTANCE_PENALTY * patches.shape[-1]
    place = place.expand(patches.shape[0], -1, -1)
    squares = patches.square().sum(-1, keepdim=True)
    squares = squares + weight * place.square().sum(-1, keepdim=True)
    return torch.cat((-2 * patches, -2 * weight * place, squares), -1)


class _Search:
    """Best place so far of every token, at 1/4 resolution."""

    def __init__(
        self, frames: Tensor, index: MatchIndex, home: Tensor, grid: tuple[int, int]
    ) -> None:
        self.index, self.home, self.grid = index, home, grid
        self.height, self.width = index.size
        self.high = last_corner(self.height, self.width, frames.device)
        steps = steps_around(4, 4, frames.device)
        self.steps = [*steps[:4], *steps[5:]]  # without standing still
        queries, _ = _patches(functional.avg_pool2d(frames, 4), size=4, core=2, stride=2)
        self.queries = queries  # (B, M, 48)
        batch, tokens, _ = queries.shape
        self.position = home.clone()
        self.cost = torch.full((batch, tokens), 1e9, device=frames.device)
        self.offset = _batch_offset(batch, index.quarter.shape[1], frames.device)
        self.flat = index.quarter.flatten(0, 1)

    def try_positions(self, position: Tensor) -> None:
        """Weigh one place (B, M, 2) per token; the better one stays."""
        position = _clamp(position, self.high)
        row = (position[..., 0] + 2).div(4, rounding_mode="floor")
        column = (position[..., 1] + 2).div(4, rounding_mode="floor")
        row = row.clamp_(max=self.height // 4 - 2)
        column = column.clamp_(max=self.width // 4 - 2)
        patch = row * (self.width // 4) + column + self.offset
        found = self.flat.index_select(0, patch.flatten()).view_as(self.queries)
        cost = (found - self.queries).square_().mean(-1)
        snapped = torch.stack((row * 4, column * 4), -1)
        cost += _DISTANCE_PENALTY * (snapped - self.home).square().sum(-1)
        better = cost < self.cost
        self.cost = torch.where(better, cost, self.cost)
        self.position = torch.where(better[..., None], snapped, self.position)

    def step(self) -> None:
        """Look at the eight places around the best one."""
        center = self.position
        for step in self.steps:
            self.try_positions(center + step)

    def exchange(self) -> None:
        """Try the displacements of the four neighbours."""
        batch = self.position.shape[0]
        displacement = (self.position - self.home).view(batch, *self.grid, 2)
        for shifted in _neighbours(displacement):
            self.try_positions(self.home + shifted.reshape(batch, -1, 2))


def _refine_half(frames: Tensor, index: MatchIndex, position: Tensor, home: Tensor) -> Matches:
    """Level 3: steps of 2 pixels on luma patches, radius 4 pixels."""
    height, width = index.size
    queries, _ = _patches(_luma(functional.avg_pool2d(frames, 2)), size=6, core=4, stride=4)
    batch = queries.shape[0]
    offset = _batch_offset(batch, index.half.shape[1], frames.device)
    flat = index.half.flatten(0, 1)
    best_cost = torch.full(position.shape[:2], 1e9, device=frames.device)
    best = position
    high = last_corner(height, width, frames.device)
    for step in steps_around(4, 2, frames.device):
        moved = _clamp(position + step, high)
        patch = moved[..., 0] // 2 * (width // 2) + moved[..., 1] // 2 + offset
        found = flat.index_select(0, patch.flatten()).view_as(queries)
        cost = (found - queries).square_().mean(-1)
        cost += _DISTANCE_PENALTY * (moved - home).square().sum(-1)
        better = cost < best_cost
        best_cost = torch.where(better, cost, best_cost)
        best = torch.where(better[..., None], moved, best)
    return Matches(best, best_cost)


def _coarse_scale(height: int, width: int) -> int:
    scale = 4
    while (height // (4 * scale)) * (width // (4 * scale)) > MAX_COARSE_TOKENS:
        scale *= 2
    return scale


def _patches(
    picture: Tensor, *, size: int, core: int, stride: int
) -> tuple[Tensor, tuple[int, int]]:
    """Square patches at grid positions: (B, rows * columns, C * size * size), and the grid.

    Patch (i, j) has its middle `core` x `core` pixels start at (stride * i, stride * j); what
    reaches over the border repeats it.
    """
    before = (size - core) // 2
    after = size - before - 1
    padded = functional.pad(picture, (before, after, before, after), mode="replicate")
    windows = padded.unfold(2, size, stride).unfold(3, size, stride)
    batch, _, rows, columns = windows.shape[:4]
    return windows.permute(0, 2, 3, 1, 4, 5).reshape(batch, rows * columns, -1), (rows, columns)


def _luma(picture: Tensor) -> Tensor:
    return picture.mean(1, keepdim=True)


def _grid(rows: int, columns: int, step: int, device: torch.device) -> Tensor:
    """(rows * columns, 2) float positions [pixels]."""
    y = torch.arange(rows, device=device, dtype=torch.float32) * step
    x = torch.arange(columns, device=device, dtype=torch.float32) * step
    return torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).view(-1, 2)


def _token_corners(rows: int, columns: int, device: torch.device) -> Tensor:
    return _grid(rows, columns, TOKEN, device).long()


def place(row: int, column: int, device: torch.device) -> Tensor:
    """(2,) int64, made on the device: to copy it there, the processor would wait for a card."""
    return torch.stack([torch.full((), number, device=device) for number in (row, column)])


def last_corner(height: int, width: int, device: torch.device) -> Tensor:
    """Where the last token of a picture lies: (2,) int64 row and column [pixels]."""
    return place(height - TOKEN, width - TOKEN, device)


def steps_around(reach: int, step: int, device: torch.device) -> list[Tensor]:
    """Moves by up to `reach` up, down and to both sides, in steps of `step` [pixels].

    Returns:
        (2,) int64 row and column each, row by row; none at all is the middle one.
    """
    along = torch.arange(-reach, reach + 1, step, device=device)
    return list(torch.cartesian_prod(along, along).unbind(0))


def _clamp(position: Tensor, high: Tensor) -> Tensor:
    return position.clamp(min=torch.zeros_like(high), max=high)


def _batch_offset(batch: int, patches: int, device: torch.device) -> Tensor:
    return (torch.arange(batch, device=device) * patches)[:, None]


def _neighbours(field: Tensor) -> list[Tensor]:
    """The four shifts of a (B, rows, columns, 2) field, with the border repeated."""
    return [
        torch.cat((field[:, :1], field[:, :-1]), 1),
        torch.cat((field[:, 1:], field[:, -1:]), 1),
        torch.cat((field[:, :, :1], field[:, :, :-1]), 2),
        torch.cat((field[:, :, 1:], field[:, :, -1:]), 2),
    ]


def _spread(coarse: Tensor, rows: int, columns: int) -> Tensor:
    """Every token takes the displacement of the coarse token it lies in: (B, M, 2)."""
    factor = -(-rows // coarse.shape[1])
    fine = coarse.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    return fine[:, :rows, :columns].reshape(coarse.shape[0], -1, 2)
