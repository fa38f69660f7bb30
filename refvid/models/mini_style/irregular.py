"""Cells with borders of no pattern: pieces of a painting that are squares would show as squares."""

from __future__ import annotations

import torch
from torch import Tensor

_APART = 0.8
"""Middles of cells lie up to half of this off the even grid, each way [cells]."""

_STEPS = ((0.7548777, 0.5698403), (0.8191725, 0.6710436))
"""By which the two offsets go on from row to row and from column to column: they never repeat, and
are the same for a place in every frame."""


def nearest_cells(
    row: Tensor, column: Tensor, grid: tuple[int, int], *, irregular: bool = True
) -> tuple[Tensor, Tensor]:
    """Find the cell in which each place of a grid lies, its middle being the nearest one.

    Args:
        row: (rows,) [cells]; whole numbers are even middles.
        column: (columns,) the same.
        grid: Rows and columns of cells.
        irregular: Without it cells are squares.

    Returns:
        Row and column (rows, columns) int64 of the cells.
    """
    offsets = _offsets(grid, row.device) * irregular
    home_row, home_column = row.round().long(), column.round().long()
    steps = torch.tensor((-1, 0, 1), device=row.device)
    cell_row = (home_row[:, None] + steps).clamp(0, grid[0] - 1)  # (rows, 3)
    cell_column = (home_column[:, None] + steps).clamp(0, grid[1] - 1)
    offset = offsets[:, cell_row][..., cell_column]  # (2, rows, 3, columns, 3)
    down = cell_row[..., None, None] + offset[0] - row[:, None, None, None]
    across = cell_column + offset[1] - column[:, None]
    apart = (down.square() + across.square()).transpose(1, 2)  # (rows, columns, 3, 3)
    nearest = apart.flatten(2).argmin(-1)
    return (
        cell_row.gather(1, nearest // 3),
        cell_column.T.gather(0, nearest % 3),
    )


def _offsets(grid: tuple[int, int], device: torch.device) -> Tensor:
    """(2, rows, columns) of the middles [cells]."""
    row = torch.arange(grid[0], device=device)[:, None]
    column = torch.arange(grid[1], device=device)
    share = torch.stack([(row * down + column * right) % 1 for down, right in _STEPS])
    return _APART * (share - 0.5)
