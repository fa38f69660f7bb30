"""Guided, sharp, local reference attention: copies detail from where matching found it.

The paper joins all reference tokens and all video tokens in full attention (RefDecoder,
arXiv:2605.15196, section 3). A small decoder cannot afford that and does not learn it: here every
token knows its place in the reference (`matching`), and each of its sixteen 2x2-pixel cells
attends to all places within a few pixels around, at single-pixel steps. Cosine similarity with a
learned temperature keeps the attention sharp; the values are the reference's own pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.models.mini.config import MiniConfig
from refvid.models.mini.matching import TOKEN, Matches

CELL = 2
"""Side of the cells that query and are copied [pixels]."""

CELLS = TOKEN // CELL
"""Cells per side of a token."""

_INITIAL_TEMPERATURE = 20.0

_TOKENS_AT_ONCE = 512
"""Tokens whose windows are cut out at once when no gradient is needed."""


@dataclass(frozen=True, slots=True)
class KeyMap:
    """Descriptors and values of a reference at every pixel; made once per clip."""

    descriptors: Tensor
    """(B, H + 2 * margin, W + 2 * margin, D), unit length; one place is one row of memory."""

    values: Tensor
    """(B, H + 2 * margin, W + 2 * margin, V)"""

    margin: int
    """Border around the reference, so that no window leaves the map [pixels]."""


@dataclass(frozen=True, slots=True)
class Attended:
    """What the reference gives to each cell; height and width are half the frame's."""

    values: Tensor
    """(N, V, H/2, W/2): the reference's pixels (4 per colour), then learned context."""

    statistics: Tensor
    """(N, 3, H/2, W/2): best similarity, sharpness of the attention, match cost."""


class ReferenceAttention(nn.Module):
    """Cells of the video attend to a window of the reference."""

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.radius = config.search_radius_px
        self.window = TOKEN - CELL + 1 + 2 * self.radius
        self.descriptor_channels = config.descriptor_channels
        self.value_channels = 3 * CELL**2 + config.context_channels
        self.query = _descriptor_network(config)
        self.key = _descriptor_network(config)
        # Video and reference start in the same space; the degraded side then learns its own way.
        self.key.load_state_dict(self.query.state_dict())
        self.context = nn.Conv2d(3 * CELL**2, config.context_channels, 3, padding=1)
        self.log_temperature = nn.Parameter(torch.tensor(_INITIAL_TEMPERATURE).log())
        self.place_bias = nn.Parameter(torch.zeros(CELLS**2, self.window**2))

    def map_reference(self, reference: Tensor) -> KeyMap:
        """Describe every pixel position of a reference (B, 3, H, W) in [-1, 1]."""
        margin = self.radius + 1
        batch, _, height, width = reference.shape
        full = (height + 2 * margin, width + 2 * margin)
        # One more pixel below and to the right: the four phases of the cell grid.
        padded = functional.pad(
            reference, (margin, margin + 1, margin, margin + 1), mode="replicate"
        )
        phases = [
            padded[..., row : row + full[0], column : column + full[1]]
            for row in range(CELL)
            for column in range(CELL)
        ]
        cells = functional.pixel_unshuffle(torch.stack(phases, 1).flatten(0, 1), CELL)
        descriptors = functional.normalize(self.key(_without_mean(cells)), dim=1)
        values = torch.cat((cells, self.context(cells)), 1)
        return KeyMap(_join_phases(descriptors, batch), _join_phases(values, batch), margin)

    def forward(self, frames: Tensor, keys: KeyMap, matches: Matches) -> Attended:
        """Attend for frames (B, 3, H, W), one per reference of the map."""
        batch, _, height, width = frames.shape
        grid = (height // TOKEN, width // TOKEN)
        cells = functional.pixel_unshuffle(frames, CELL)
        queries = functional.normalize(self.query(_without_mean(cells)), dim=1)
        queries = _split_tokens(queries, grid)  # (B * M, 16, D)
        corners = self._window_corners(keys, matches.position)
        # Windows overlap and are many times as large as the map: a part at a time stays in cache.
        parts = [
            self._attend(queries[part], keys, corners[part])
            for part in _parts(len(corners), whole=torch.is_grad_enabled())
        ]
        attended = _join_tokens(torch.cat(parts), grid)
        cost = matches.cost.clamp(max=0.05).sqrt().mul(4).view(batch, 1, *grid)
        cost = functional.interpolate(cost.to(attended.dtype), scale_factor=CELLS)
        values, statistics = attended.tensor_split([self.value_channels], dim=1)
        return Attended(values, torch.cat((statistics, cost), 1))

    def _attend(self, queries: Tensor, keys: KeyMap, corners: Tensor) -> Tensor:
        """Attended values, best similarity and sharpness per cell: (tokens, 16, V + 2)."""
        places = _windows(keys.descriptors, corners, self.window)  # (tokens, window^2, D)
        values = _windows(keys.values, corners, self.window)
        # Reductions and exponentials in float32: exact, and on CPUs faster than in bfloat16.
        similarity = torch.bmm(queries, places.transpose(1, 2)).float()
        weights = (similarity * self.log_temperature.exp() + self.place_bias).softmax(-1)
        attended = torch.bmm(weights.to(values.dtype), values)
        statistics = (similarity.amax(-1, keepdim=True), weights.amax(-1, keepdim=True))
        return torch.cat((attended, *(s.to(attended.dtype) for s in statistics)), -1)

    def _window_corners(self, keys: KeyMap, position: Tensor) -> Tensor:
        """Index of each token's window's first place in the flattened map: (B * M,)."""
        batch, height, width = keys.values.shape[:3]
        corner = position + (keys.margin - self.radius)  # (B, M, 2)
        start = corner[..., 0] * width + corner[..., 1]
        start = start + (torch.arange(batch, device=start.device) * height * width)[:, None]
        return start.flatten()


def _windows(rows: Tensor, corners: Tensor, window: int) -> Tensor:
    """Cut square windows out of a (B, H, W, C) map: (tokens, window^2, C)."""
    width, channels = rows.shape[2:]
    span = torch.arange(window, device=corners.device)
    if torch.is_grad_enabled():
        place = (corners[:, None] + (span[:, None] * width + span).flatten()).flatten()
        return rows.view(-1, channels).index_select(0, place).view(-1, window**2, channels)
    # Places of one window row lie side by side: copying runs is several times faster. Autograd
    # cannot go back through overlapping views without a copy of them all, hence two ways.
    runs = rows.view(-1).as_strided(
        (rows.numel() // channels - window + 1, window * channels), (channels, 1)
    )
    return runs[(corners[:, None] + span * width).flatten()].view(-1, window**2, channels)


def _parts(tokens: int, *, whole: bool) -> list[slice]:
    size = tokens if whole else _TOKENS_AT_ONCE
    return [slice(start, start + size) for start in range(0, tokens, size)]


def _join_phases(cells: Tensor, batch: int) -> Tensor:
    """(B * 4 phases, C, h, w) -> (B, 2h, 2w, C): the cell grids of all phases interleaved."""
    channels, height, width = cells.shape[1:]
    grid = cells.view(batch, CELL, CELL, channels, height, width)
    return grid.permute(0, 4, 1, 5, 2, 3).reshape(batch, CELL * height, CELL * width, channels)


def _descriptor_network(config: MiniConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3 * CELL**2, config.descriptor_width, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(config.descriptor_width, config.descriptor_channels, 3, padding=1),
    )


def _without_mean(cells: Tensor) -> Tensor:
    """Remove the local mean colour: brightness must not decide what looks alike."""
    split = cells.view(cells.shape[0], 3, CELL**2, *cells.shape[2:])
    mean = functional.avg_pool2d(split.mean(2), 5, stride=1, padding=2, count_include_pad=False)
    return (split - mean[:, :, None]).flatten(1, 2)


def _split_tokens(cells: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, C, 4 rows, 4 columns) -> (B * tokens, 16, C)."""
    batch, channels = cells.shape[:2]
    split = cells.view(batch, channels, grid[0], CELLS, grid[1], CELLS)
    return split.permute(0, 2, 4, 3, 5, 1).reshape(-1, CELLS**2, channels)


def _join_tokens(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B * tokens, 16, C) -> (B, C, 4 rows, 4 columns)."""
    channels = tokens.shape[-1]
    joined = tokens.view(-1, *grid, CELLS, CELLS, channels).permute(0, 5, 1, 3, 2, 4)
    return joined.reshape(-1, channels, grid[0] * CELLS, grid[1] * CELLS)
