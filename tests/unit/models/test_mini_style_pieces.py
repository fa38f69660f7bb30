"""Where pieces of a painting come from and end: not in its margin, and in no pattern."""

import torch
from torch.nn import functional

from refvid.models.mini_style.irregular import nearest_cells
from refvid.models.mini_style.painting import paint
from refvid.models.mini_style.style_index import index_styles
from refvid.models.mini_style.tokens import PATCH


def test_borders_of_cells_are_not_straight_but_close_to_the_grid() -> None:
    places = torch.arange(40) / 4
    row, column = nearest_cells(places, places, (10, 10))
    assert (row - places[:, None]).abs().max() <= 1.5
    assert (column - places).abs().max() <= 1.5
    # Along a straight border all columns would belong to the same row of cells.
    straight = (row == row[:, :1]).all(1)
    assert straight.float().mean() < 0.3
    assert len(torch.unique(row * 10 + column)) > 90


def test_even_cells_are_squares() -> None:
    places = torch.arange(40) / 4
    row, column = nearest_cells(places, places, (10, 10), irregular=False)
    assert (row == row[:, :1]).all()
    assert (column == column[:1]).all()
    assert ((row[:, 0] - places).abs() <= 0.5).sum() > 37


def test_nothing_is_taken_from_the_margin_of_a_painting() -> None:
    """A signature on it would be repeated on every wall of the same lightness."""
    generator = torch.Generator().manual_seed(1)
    style, frame = (
        functional.interpolate(torch.randn(1, 3, 24, 24, generator=generator), (192, 192))[0] * 0.2
        for _ in range(2)
    )
    style[:, -10:] = 0.8
    frame[:, 90:110] = 0.8
    _, state = paint(frame, index_styles([(style, 1.0)]))
    for corners in state.corners:
        places = corners[..., 1:]
        assert places.min() >= 10
        assert places.max() <= 192 - 10 - PATCH
