"""Style tokens: overlapping 16-pixel patches, what they look like, and putting them together.

A token covers 16x16 pixels and lies 8 pixels from its neighbours. What it looks like is told in 22
numbers that survive a change of medium: the light and dark of its quarters' quarters, its colour,
the direction of its edges and how strong they are.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from refvid.models.mini_style.smooth import box_mean, cell_mean

STRIDE = 8
"""Distance of neighbouring tokens [pixels]."""

PATCH = 2 * STRIDE
"""Side of the patch that a token stands for [pixels]."""

CELL = PATCH // 4
"""Descriptors exist at every multiple of this [pixels]."""

_LIGHT, _COLOUR, _DIRECTION, _STRENGTH = 1.0, 3.0, 0.6, 10.0
"""Weights of what a descriptor tells."""

_FAINT = 0.05
"""Below this contrast, light and dark inside a patch count ever less."""


def describe(picture: Tensor) -> Tensor:
    """Describe all patches at multiples of `CELL`.

    Args:
        picture: (3, H, W) in about [-1, 1]; H and W multiples of `CELL`.

    Returns:
        (H / CELL - 3, W / CELL - 3, D): of the patch that begins at (CELL * row, CELL * column).
    """
    coarse = cell_mean(picture[None], CELL)
    light = coarse.mean(1, keepdim=True)
    parts = functional.unfold(light, 4)[0]  # (16, places)
    mean = parts.mean(0)
    deviation = (parts - mean).square().mean(0).sqrt()
    edges = cell_mean(_edges(picture[None]), CELL // 2)
    rest = functional.avg_pool2d(torch.cat((coarse, edges), 1), 4, stride=1)[0].flatten(1)
    told = torch.cat(
        (
            (parts - mean) * (_LIGHT / 4) / (deviation + _FAINT),
            rest[:3] * _COLOUR,
            rest[3:5] * _DIRECTION,
            rest[5:].clamp(max=0.3) * _STRENGTH,
        )
    )
    rows, columns = coarse.shape[2] - 3, coarse.shape[3] - 3
    return told.T.reshape(rows, columns, -1)


def edge_strength(descriptors: Tensor) -> Tensor:
    """(...,) of descriptors (..., D) from `describe`: how strong the edges in a patch are."""
    return descriptors[..., -1]


def with_edge_strength(descriptors: Tensor, strength: Tensor) -> Tensor:
    """Descriptors (..., D) with another strength (...,) of edges."""
    return torch.cat((descriptors[..., :-1], strength[..., None]), -1)


def cut_patches(pictures: Tensor, corners: Tensor) -> Tensor:
    """Cut patches out of pictures.

    Args:
        pictures: (V, H, W, C).
        corners: (M, 3) int64: picture, row and column of each patch's corner.

    Returns:
        (M, PATCH, PATCH, C).
    """
    height, width, channels = pictures.shape[1:]
    start = (corners[:, 0] * height + corners[:, 1]) * width + corners[:, 2]
    # Pixels of one row of a patch lie side by side: copy them as one run.
    places = pictures.numel() // channels - PATCH + 1
    runs = pictures.reshape(-1).as_strided((places, PATCH * channels), (channels, 1))
    rows = torch.arange(PATCH, device=pictures.device) * width
    return runs[(start[:, None] + rows).flatten()].view(-1, PATCH, PATCH, channels)


def join_patches(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """Cross-fade patches on a grid of tokens into a picture.

    Args:
        patches: (rows * columns, PATCH, PATCH, C) of the tokens in `grid`.
        grid: Rows and columns of tokens.

    Returns:
        (C, 8 * (rows - 1), 8 * (columns - 1)): the half patch at the border, where nothing
        overlaps, is left out.
    """
    rows, columns = grid
    channels = patches.shape[-1]
    ramp = torch.arange(PATCH, device=patches.device, dtype=torch.float32).add(0.5)
    window = ramp.mul(torch.pi / PATCH).sin().square().to(patches.dtype)
    faded = patches * (window[:, None] * window[None, :])[..., None]
    quarters = faded.view(rows, columns, 2, STRIDE, 2, STRIDE, channels)
    joined = (
        quarters[:-1, :-1, 1, :, 1]
        + quarters[:-1, 1:, 1, :, 0]
        + quarters[1:, :-1, 0, :, 1]
        + quarters[1:, 1:, 0, :, 0]
    )  # (rows - 1, columns - 1, 8, 8, C)
    picture = joined.permute(4, 0, 2, 1, 3)
    return picture.reshape(channels, STRIDE * (rows - 1), STRIDE * (columns - 1))


def patch_mean(picture: Tensor) -> Tensor:
    """Means (C, H / STRIDE - 1, W / STRIDE - 1) of the patches of all tokens in (C, H, W)."""
    quarters = cell_mean(picture, STRIDE)
    down = quarters[:, :-1] + quarters[:, 1:]
    return (down[..., :-1] + down[..., 1:]) / 4


def pad_for_tokens(picture: Tensor) -> Tensor:
    """Repeat the border of (C, H, W) by half a patch, so that tokens cover all of it."""
    half = STRIDE
    return functional.pad(picture[None], (half, half, half, half), mode="replicate")[0]


def _edges(picture: Tensor) -> Tensor:
    """(1, 3, H/2, W/2): direction as (cos 2a, sin 2a) times its certainty, and strength."""
    light = cell_mean(picture.mean(1, keepdim=True), 2)
    padded = functional.pad(light, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    tensor = torch.cat((across.square() - down.square(), 2 * across * down), 1)
    energy = across.square() + down.square()
    smooth = torch.cat((tensor, energy), 1)
    # Twice a box is close to a Gaussian; the border counts itself less, on both sides alike.
    smooth = box_mean(box_mean(smooth, 3), 3)
    tensor, energy = smooth[:, :2], smooth[:, 2:]
    return torch.cat((tensor / (energy + 1e-5), energy.sqrt()), 1)
