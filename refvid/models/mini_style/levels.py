"""Patches from level to level, and from frame to frame.

Corners of patches are kept in fractions of a pixel of the canvas: what moves slowly would not move
at all in whole pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from refvid.models.mini_style.optical_flow import Flow
from refvid.models.mini_style.patch_choice import PatchChoice
from refvid.models.mini_style.style_index import LevelIndex, StyleIndex
from refvid.models.mini_style.tokens import (
    CELL,
    PATCH,
    STRIDE,
    cut_patches,
    describe,
    join_patches,
    pad_for_tokens,
)

Corners = tuple[Tensor, ...]
"""(rows, columns, 3) float32 of every level: picture, row and column [pixels of the canvas]."""


def choose_patches(
    canvas: Tensor,
    style: StyleIndex,
    before: Corners | None,
    flow: Flow | None,
    prices: Tensor | None,
    phase: int,
) -> tuple[Corners, Tensor]:
    """Choose the patches that paint a frame, from coarse to fine.

    Args:
        canvas: (3, H, W) recoloured; H and W multiples of 8 times the coarsest factor.
        style: From `index_styles`.
        before: Corners of the frame before; None at the start of a shot, as are flow and prices.
        flow: On the canvas.
        prices: What keeps each style at its share.
        phase: Number of the frame in the shot.

    Returns:
        The corners, and the prices.
    """
    found: list[Tensor] = []
    for number, level in enumerate(style.levels):
        factor = level.factor
        small = functional.avg_pool2d(canvas[None], factor)[0]
        queries = describe(pad_for_tokens(small))[:: STRIDE // CELL, :: STRIDE // CELL]
        choice = PatchChoice(queries, level)
        carried = trust = None
        if before is not None and flow is not None:
            carried, trust = _carried(before[number], factor, flow)
        here = None if carried is None else _at_level(carried, factor)
        if number:
            assert prices is not None, "the coarsest level finds them"
            inside = split_corners(found[-1], style.levels[number - 1].factor, level, queries)
            choice.refine(_at_level(inside, factor), prices, here, trust)
        elif here is None or trust is None or prices is None:
            choice.begin()
            prices = choice.prices
        else:
            choice.carry(here, trust, prices, phase)
        chosen = choice.settle()
        exact = _on_canvas(chosen, factor)
        if carried is not None and here is not None:
            stays = chosen.eq(here).all(-1, keepdim=True)
            exact = torch.where(stays, carried, exact)
        found.append(exact)
    assert prices is not None, "there is a level"
    return tuple(found), prices


def lay_patches(corners: Corners, style: StyleIndex, size: tuple[int, int]) -> Tensor:
    """The painting (3, *size) of a canvas, in about [-1, 1].

    What is coarse in it comes from large patches that fade into each other over a wide distance,
    and what is fine from small ones that lie within these: there are no seams to be seen.
    """
    level, chosen = style.levels[-1], corners[-1]
    rows, columns = size[0] // STRIDE + 1, size[1] // STRIDE + 1
    like = chosen.new_empty(rows, columns)
    fine_corners = _split(chosen, level.factor, 1, like)
    fine = _laid(style.pictures, fine_corners)
    if level.factor == 1:
        return fine
    coarse = _laid(level.pictures, _at_level(chosen, level.factor))
    small = functional.avg_pool2d(fine[None], level.factor)[0]
    rest = functional.interpolate((coarse - small)[None], size=list(size), mode="bilinear")
    return fine + rest[0]


def split_corners(corners: Tensor, factor: int, level: LevelIndex, queries: Tensor) -> Tensor:
    """Patches of a finer level that lie within those of a coarser one, on the canvas."""
    return _split(corners, factor, level.factor, queries[..., 0])


def _split(corners: Tensor, coarse: int, fine: int, like: Tensor) -> Tensor:
    """Split patches of `coarse` pixels to a pixel into those of `fine`, on a grid as `like`."""
    row, column = (torch.arange(count, device=corners.device) for count in like.shape)
    half = coarse * STRIDE // 2
    above, left = ((n * fine * STRIDE + half).div(coarse * STRIDE, rounding_mode="floor")
                   for n in (row, column))  # fmt: skip
    above, left = above.clamp(max=corners.shape[0] - 1), left.clamp(max=corners.shape[1] - 1)
    split = corners[above][:, left].clone()
    # From the middle of the large patch to that of the small one, and to its corner.
    middle = (coarse - fine) * STRIDE
    split[..., 1] += ((row * fine - above * coarse) * STRIDE + middle)[:, None]
    split[..., 2] += (column * fine - left * coarse) * STRIDE + middle
    return split


def _laid(pictures: Tensor, corners: Tensor) -> Tensor:
    last = pictures.shape[1] - PATCH
    inside = torch.cat((corners[..., :1], corners[..., 1:].round().clamp(0, last)), -1).long()
    patches = cut_patches(pictures, inside.view(-1, 3)).float().div_(127.5).sub_(1)
    rows, columns = corners.shape[:2]
    return join_patches(patches, (rows, columns))


def _carried(corners: Tensor, factor: int, flow: Flow) -> tuple[Tensor, Tensor]:
    """Where the tokens' content was painted from, on the canvas, and how sure that is."""
    rows, columns = corners.shape[:2]
    device, step = corners.device, STRIDE * factor
    height, width = flow.trust.shape
    row = (torch.arange(rows, device=device) * step).clamp(max=height - 1)
    column = (torch.arange(columns, device=device) * step).clamp(max=width - 1)
    was_row, was_column = flow.places(row, column)
    # Seen from the middle of the token, which may lie on the border.
    down, right = was_row - row[:, None], was_column - column
    middle_row = torch.arange(rows, device=device)[:, None] * step + down
    middle_column = torch.arange(columns, device=device) * step + right
    from_row = (middle_row / step).round().long().clamp(0, rows - 1)
    from_column = (middle_column / step).round().long().clamp(0, columns - 1)
    moved = corners[from_row, from_column].clone()
    moved[..., 1] += middle_row - from_row * step
    moved[..., 2] += middle_column - from_column * step
    return moved, flow.trusts(row, column)


def _at_level(corners: Tensor, factor: int) -> Tensor:
    places = (corners[..., 1:] / factor).round()
    return torch.cat((corners[..., :1], places), -1).long()


def _on_canvas(corners: Tensor, factor: int) -> Tensor:
    return torch.cat((corners[..., :1], corners[..., 1:] * factor), -1).float()
