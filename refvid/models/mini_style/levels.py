"""Patches from level to level, and from frame to frame.

Corners of patches are kept in fractions of a pixel of the canvas: what moves slowly would not move
at all in whole pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from refvid.models.mini_style.bands import lightness
from refvid.models.mini_style.irregular import nearest_cells
from refvid.models.mini_style.optical_flow import Flow
from refvid.models.mini_style.patch_choice import PatchChoice
from refvid.models.mini_style.smooth import box_mean, cell_mean
from refvid.models.mini_style.style_index import LevelIndex, StyleIndex
from refvid.models.mini_style.tokens import (
    CELL,
    PATCH,
    STRIDE,
    cut_patches,
    describe,
    edge_strength,
    join_patches,
    pad_for_tokens,
    patch_mean,
    with_edge_strength,
)

_INSISTENCE = (1.0, 3.0, 20.0)
"""How much more the look of a token counts where the frame has contours, from coarse to fine: large
pieces stay whole on plain ground, and small ones draw what is there."""

_PLAIN, _MOST = 0.5, 2.0
"""Contrast that is no contour, and by how much more it counts at most, over the frame's mean."""

_FAINT = 0.02
"""Added to the mean contrast, of a range of 2: there need not be any contour."""

_LIGHT_SHIFT, _COLOUR_SHIFT = 0.9, 0.4
"""Share of a patch's difference from the frame that is taken away where it lies alone."""

_TOGETHER = 2
"""So far off may a piece go on beside another [pixels]."""

_AROUND = 5
"""Side of the boxes in which that is looked at [tokens]."""

_ALONE = 3.0
"""Half of the neighbours from elsewhere make a patch lie alone."""

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
        small = cell_mean(canvas, factor)
        queries = describe(pad_for_tokens(small))[:: STRIDE // CELL, :: STRIDE // CELL]
        queries = with_edge_strength(queries, _as_strong(edge_strength(queries), level.strengths))
        choice = PatchChoice(queries, level, _insistence(small, _INSISTENCE[number]))
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


def lay_patches(corners: Corners, style: StyleIndex, canvas: Tensor) -> Tensor:
    """The painting (3, H, W) of a canvas of that shape, in about [-1, 1].

    What is coarse in it comes from large patches that fade into each other over a wide distance,
    and what is fine from small ones that lie within these. A patch that lies alone takes on the
    light and dark of the frame, so that no seams are seen and what is shaded stays shaded; where a
    piece of the style is whole, its own are kept.
    """
    level, chosen = style.levels[-1], corners[-1]
    size = canvas.shape[1:]
    rows, columns = size[0] // STRIDE + 1, size[1] // STRIDE + 1
    like = chosen.new_empty(rows, columns)
    fine_corners = _split(chosen, level.factor, 1, like)
    fine = _laid(style.pictures, fine_corners, canvas)
    if level.factor == 1:
        return fine
    small_canvas = cell_mean(canvas, level.factor)
    coarse = _laid(level.pictures, _at_level(chosen, level.factor), small_canvas)
    small = cell_mean(fine, level.factor)
    rest = functional.interpolate((coarse - small)[None], size=list(size), mode="bilinear")
    return fine + rest[0]


def _as_strong(strength: Tensor, wanted: Tensor) -> Tensor:
    """Edges (rows, columns) as strong as the style's (K,) ascending, in the order of the frame's.

    A painting has its things where the frame has its own: stars and seals go where something is,
    and not on a plain cheek.
    """
    flat = strength.flatten()
    # Ties, of a plain ground, get the middle of their ranks.
    ascending = flat.sort().values
    rank = torch.searchsorted(ascending, flat) + torch.searchsorted(ascending, flat, right=True)
    place = rank.float() * ((len(wanted) - 1) / (2 * len(flat)))
    return wanted[place.round().long()].view_as(strength)


def _insistence(picture: Tensor, most: float) -> Tensor:
    """(rows, columns) what the look of each token of (3, H, W) counts, at least 1."""
    light = pad_for_tokens(picture.mean(0, keepdim=True))
    mean, square = (patch_mean(part) for part in (light, light.square()))
    contrast = (square - mean.square()).clamp_min(0).sqrt()[0]
    over_mean = contrast / (contrast.mean() + _FAINT)
    return 1 + most * (over_mean - _PLAIN).clamp(0, _MOST)


def split_corners(corners: Tensor, factor: int, level: LevelIndex, queries: Tensor) -> Tensor:
    """Patches of a finer level that lie within those of a coarser one, on the canvas."""
    return _split(corners, factor, level.factor, queries[..., 0], irregular=True)


def _split(
    corners: Tensor, coarse: int, fine: int, like: Tensor, *, irregular: bool = False
) -> Tensor:
    """Split patches of `coarse` pixels to a pixel into those of `fine`, on a grid as `like`.

    Irregular borders of the coarse ones are for what is chosen from them and kept: laid anew in
    every frame they would stand still while the paint moves.
    """
    row, column = (torch.arange(count, device=corners.device) for count in like.shape)
    grid = (corners.shape[0], corners.shape[1])
    places = row * (fine / coarse), column * (fine / coarse)
    above, left = nearest_cells(*places, grid, irregular=irregular)
    split = corners[above, left]
    # From the middle of the large patch to that of the small one, and to its corner.
    middle = (coarse - fine) * STRIDE
    split[..., 1] += (row[:, None] * fine - above * coarse) * STRIDE + middle
    split[..., 2] += (column * fine - left * coarse) * STRIDE + middle
    return split


def _laid(pictures: Tensor, corners: Tensor, canvas: Tensor) -> Tensor:
    last = pictures.shape[1] - PATCH
    inside = torch.cat((corners[..., :1], corners[..., 1:].round().clamp(0, last)), -1).long()
    patches = cut_patches(pictures, inside.view(-1, 3)).float().div_(127.5).sub_(1)
    wanted = patch_mean(pad_for_tokens(canvas))
    shift = wanted - patches.mean((1, 2)).T.view_as(wanted)
    light = lightness(shift)
    shift = _LIGHT_SHIFT * light + _COLOUR_SHIFT * (shift - light)
    shift = shift * (_ALONE * (1 - _whole(corners))).clamp(max=1)
    patches += shift.flatten(1).T[:, None, None]
    rows, columns = corners.shape[:2]
    return join_patches(patches, (rows, columns))


def _whole(corners: Tensor) -> Tensor:
    """(rows, columns) share of neighbours that go on with each other's piece of the style."""
    down, across = corners[1:] - corners[:-1], corners[:, 1:] - corners[:, :-1]
    down, across = (
        (apart - apart.new_tensor(step)).abs().amax(-1).le(_TOGETHER).float()[None, None]
        for apart, step in ((down, (0, STRIDE, 0)), (across, (0, 0, STRIDE)))
    )
    down = functional.pad(down, (0, 0, 1, 1), mode="replicate")
    across = functional.pad(across, (1, 1, 0, 0), mode="replicate")
    share = (down[..., 1:, :] + down[..., :-1, :] + across[..., 1:] + across[..., :-1]) / 4
    return box_mean(share, _AROUND)[0, 0]


def _carried(corners: Tensor, factor: int, flow: Flow) -> tuple[Tensor, Tensor]:
    """Where the tokens' content was painted from, on the canvas, and how sure that is."""
    rows, columns = corners.shape[:2]
    device, step = corners.device, STRIDE * factor
    height, width = flow.trust.shape
    grid = (
        np.minimum(np.arange(rows) * step, height - 1),
        np.minimum(np.arange(columns) * step, width - 1),
    )
    was_row, was_column = flow.places(*grid)
    row, column = (torch.from_numpy(side).to(device) for side in grid)
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
