"""The search for patches of the style, anywhere in its pictures and in all turns."""

from __future__ import annotations

import torch
from torch import Tensor

from refvid.models.mini_style.style_index import TURNS, LevelIndex

_AS_GOOD_SHARE, _AS_GOOD_SUM = 1.0, 0.05
"""Patches that cost this much more than the best one are about as good."""

_CHOICES = 32
"""Among how many of these a piece is chosen."""

_QUERIES_AT_ONCE = 1024
"""Bounds the memory of a search."""


def search_each_style(queries: Tensor, style: LevelIndex) -> tuple[Tensor, Tensor]:
    """Best patch of each style: costs (queries, styles) and corners (queries, styles, 3)."""
    costs, places = [], []
    counts = list(style.key_counts)
    keys_of, places_of = torch.split(style.keys, counts), torch.split(style.key_places, counts)
    for keys, corners in zip(keys_of, places_of, strict=True):
        squares = keys.square().sum(-1)
        found = [
            torch.addmm(squares, part, keys.T, alpha=-2).min(-1)
            for part in torch.split(queries, _QUERIES_AT_ONCE)
        ]
        costs.append(torch.cat([f.values for f in found]))
        places.append(corners[torch.cat([f.indices for f in found])])
    return torch.stack(costs, -1), torch.stack(places, 1)


def search_varied(queries: Tensor, style: LevelIndex, prices: Tensor) -> Tensor:
    """For every query one of the patches that are nearly the best: (queries, 3)."""
    keys, places = style.keys, style.key_places
    offset = keys.square().sum(-1) + prices[places[:, 0] // TURNS]
    most = min(_CHOICES, len(keys))
    parts = [
        torch.addmm(offset, part, keys.T, alpha=-2).topk(most, largest=False)
        for part in torch.split(queries, _QUERIES_AT_ONCE)
    ]
    costs, found = (torch.cat([part[n] for part in parts]) for n in (0, 1))
    best = costs[:, :1] + queries.square().sum(1, keepdim=True)
    as_good = (costs - costs[:, :1] <= _AS_GOOD_SHARE * best + _AS_GOOD_SUM).sum(1)
    # Golden ratio: neighbours get different choices, and the same frame always the same ones.
    # Where doubles are at hand: not every graphics card has them.
    spread_out = torch.arange(len(queries), dtype=torch.float64) * 0.6180339887498949 % 1
    choice = (spread_out * as_good.cpu()).long().to(queries.device)
    return places[found.gather(1, choice[:, None])[:, 0]]
