"""Choose a patch of the style for every token, so that neighbours and frames agree.

Neighbours prefer patches that lie side by side in the style, and a token keeps the patch that
painted its content in the frame before, unless another fits much better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from refvid.models.matching import place
from refvid.models.mini_style.irregular import nearest_cells
from refvid.models.mini_style.style_index import TURNS, LevelIndex
from refvid.models.mini_style.style_search import search_each_style, search_varied
from refvid.models.mini_style.tokens import CELL, PATCH, STRIDE

_COHERENCE = 1.2
"""What a neighbour's patch from elsewhere in the style costs; in units of squared descriptors."""

_REPETITION = 0.6
"""What taking the same patch again close by costs: it would show as a pattern of tiles."""

_LOYALTY = 1.0
"""What leaving the patch costs that painted the same content in the frame before."""

_SWEEPS, _SWEEPS_LATER = 3, 2
"""How often all tokens weigh their neighbours: in the first frame of a shot, and in the others."""

_ATTEMPTS = 12
"""How often several styles try other prices in the first frame."""

_PIECE = 4
"""Side of the pieces of the style that a painting begins with [tokens]."""

_SEARCH_PERIOD = 8
"""A token that was carried along searches anywhere in every so many frames."""

_LOST = 0.5
"""Less trust in the motion is none."""

_NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))

_AROUND = (
    *_NEIGHBOURS,
    *((-1, -1), (-1, 1), (1, -1), (1, 1)),
    *((-2, 0), (2, 0), (0, -2), (0, 2)),
)
"""Where the same patch must not lie."""


@dataclass(frozen=True, slots=True)
class _Half:
    """Every other token, and what it weighs."""

    tokens: Tensor
    """(tokens,) their numbers, row by row."""

    around: Tensor
    """(12, tokens) the numbers of the tokens `_AROUND`; the border repeats itself."""

    queries: Tensor
    """(tokens, D)."""

    weight: Tensor | None
    """(tokens,) how much each insists on its own look."""

    carried: Tensor | None
    """(tokens, 3) patches of the frame before."""

    candidates: tuple[Tensor, ...]
    """(tokens, 3) each."""


class PatchChoice:
    """Which patch of the style paints which token of a frame, (rows, columns, 3) corners."""

    def __init__(self, queries: Tensor, style: LevelIndex, weight: Tensor | None = None) -> None:
        """Tokens (rows, columns, D), and how much each insists on its own look (rows, columns)."""
        self.queries, self.style, self.weight = queries, style, weight
        self.rows, self.columns = queries.shape[:2]
        device = queries.device
        row = torch.arange(self.rows, device=device)
        column = torch.arange(self.columns, device=device)
        self.number = row[:, None] * self.columns + column
        self.halves = _every_other(self.rows, self.columns, device)
        self.carried: Tensor | None = None
        self.candidates: tuple[Tensor, ...] = ()
        self.phase = 0
        sides = [place(STRIDE * row, STRIDE * column, device) for row, column in _NEIGHBOURS]
        self.offsets = functional.pad(torch.stack(sides), (1, 0))[:, None]

    def begin(self) -> None:
        """Search anywhere for every token, and begin with large pieces."""
        cost, places = search_each_style(self.queries.flatten(0, 1), self.style)
        shares = self.style.shares
        self.prices = torch.zeros_like(shares)
        number = torch.arange(len(shares), device=shares.device)
        # Several styles find their prices by trying: each is to paint its share.
        best, least = self.prices, torch.full_like(shares[0], math.inf)
        for step in self._price_steps(cost) if len(shares) > 1 else ():
            self._begin_with(cost, places)
            painted = self.settle()[..., :1].flatten(0, 1) // TURNS
            excess = (painted == number).sum(0) / len(painted) - shares
            best = torch.where(excess.abs().max() < least, self.prices, best)
            least = torch.minimum(least, excess.abs().max())
            self.prices = self.prices + step * excess
        self.prices = best
        self._begin_with(cost, places)

    def _begin_with(self, cost: Tensor, places: Tensor) -> None:
        anywhere = self._cheapest(cost, places).view(self.rows, self.columns, 3)
        self.candidates = (anywhere,)
        self.corners = self._follow_leaders()

    def _price_steps(self, cost: Tensor) -> Tensor:
        """By how much prices change at each attempt but the last, for a whole frame of excess."""
        # In double precision, which not every graphics card has.
        spread = cost.std().cpu().double()
        steps = torch.stack([spread * 2 * 0.8**attempt for attempt in range(_ATTEMPTS - 1)])
        return steps.float().to(cost.device)

    def carry(self, moved: Tensor, trust: Tensor, prices: Tensor, phase: int) -> None:
        """Begin with the patches of the frame before, moved with what they painted.

        Args:
            moved: (rows, columns, 3) where they are now.
            trust: (rows, columns) how sure that is.
            prices: Of the styles.
            phase: Which tokens search anywhere.
        """
        self.prices, self.phase = prices, phase
        moved, lost = self._inside(moved), trust < _LOST
        # Most tokens stay with what they have: a few at a time look for something better.
        searching = lost | ((self.number + self.phase) % _SEARCH_PERIOD == 0)
        # On a card, how many these are is known to the card alone: to wait for that would cost
        # more than to search for all.
        search = self.search_some if lost.device.type == "cpu" else self.search_all
        anywhere = search(searching, moved)
        self.carried, self.candidates = moved, (anywhere,)
        self.corners = torch.where(lost[..., None], anywhere, moved)

    def refine(
        self, coarse: Tensor, prices: Tensor, moved: Tensor | None, trust: Tensor | None
    ) -> None:
        """Begin with what a coarser level chose, or with what was carried along.

        Args:
            coarse: (rows, columns, 3) patches that lie within the coarse ones.
            prices: Of the styles.
            moved: Those of the frame before, where they are now; None at the start of a shot.
            trust: (rows, columns) how sure that is.
        """
        self.prices, coarse = prices, self._inside(coarse)
        if moved is None or trust is None:
            found = self._cheapest(*search_each_style(self.queries.flatten(0, 1), self.style))
            self.carried, self.candidates = coarse, (found.view_as(coarse),)
            self.corners = coarse
        else:
            moved, lost = self._inside(moved), (trust < _LOST)[..., None]
            self.carried, self.candidates = torch.where(lost, coarse, moved), (coarse,)
            self.corners = self.carried

    def search_some(self, searching: Tensor, others: Tensor) -> Tensor:
        """Search anywhere for some tokens (rows, columns); the others keep what they have."""
        found = others.clone()
        queries = self.queries[searching]
        found[searching] = self._cheapest(*search_each_style(queries, self.style))
        return found

    def search_all(self, searching: Tensor, others: Tensor) -> Tensor:
        """`search_some`, in as many operations of the same sizes whichever tokens these are."""
        queries = self.queries.flatten(0, 1)
        found = self._cheapest(*search_each_style(queries, self.style)).view_as(others)
        return torch.where(searching[..., None], found, others)

    def settle(self) -> Tensor:
        """Let neighbours agree: (rows, columns, 3)."""
        corners = self.corners.flatten(0, 1).clone()
        halves = [self._half(tokens) for tokens in self.halves]
        for _ in range(_SWEEPS if self.carried is None else _SWEEPS_LATER):
            for half in halves:
                # Half of the tokens choose at a time: next neighbours are of the other half.
                own, around = corners[half.tokens], corners[half.around]
                goes_on = around[: len(_NEIGHBOURS)] - self.offsets
                score = self._score(half, own, around, goes_on)
                for candidate in (*half.candidates, *self._inside(goes_on)):
                    other = self._score(half, candidate, around, goes_on)
                    better = other < score
                    score = torch.where(better, other, score)
                    own = torch.where(better[:, None], candidate, own)
                corners[half.tokens] = own
        self.corners = corners.view(self.rows, self.columns, 3)
        return self.corners

    def _half(self, tokens: Tensor) -> _Half:
        """What tokens of these numbers weigh."""
        row, column = tokens // self.columns, tokens % self.columns
        around = [
            (row + down).clamp(0, self.rows - 1) * self.columns
            + (column + across).clamp(0, self.columns - 1)
            for down, across in _AROUND
        ]
        return _Half(
            tokens,
            torch.stack(around),
            self.queries.flatten(0, 1)[tokens],
            None if self.weight is None else self.weight.flatten()[tokens],
            None if self.carried is None else self.carried.flatten(0, 1)[tokens],
            tuple(candidate.flatten(0, 1)[tokens] for candidate in self.candidates),
        )

    def _follow_leaders(self) -> Tensor:
        """Begin with pieces of the style that are several tokens large, one token choosing.

        On a plain wall all leaders would choose the same piece, and it would show as a pattern: so
        each takes one of those that are about as good, by its place.
        """
        device = self.queries.device
        row = torch.arange(self.rows, device=device)
        column = torch.arange(self.columns, device=device)
        lead_rows = torch.arange(_PIECE // 2, self.rows + _PIECE, _PIECE, device=device)
        lead_columns = torch.arange(_PIECE // 2, self.columns + _PIECE, _PIECE, device=device)
        lead_rows = lead_rows.clamp(max=self.rows - 1)
        lead_columns = lead_columns.clamp(max=self.columns - 1)
        leaders = self.queries[lead_rows][:, lead_columns]
        varied = search_varied(leaders.flatten(0, 1), self.style, self.prices)
        chosen = varied.view(*leaders.shape[:2], 3)
        middle = _PIECE // 2
        grid = (leaders.shape[0], leaders.shape[1])
        at, to = nearest_cells((row - middle) / _PIECE, (column - middle) / _PIECE, grid)
        led = chosen[at, to]
        led[..., 1] += (row[:, None] - lead_rows[at]) * STRIDE
        led[..., 2] += (column - lead_columns[to]) * STRIDE
        return self._inside(led)

    def _score(self, half: _Half, corners: Tensor, around: Tensor, goes_on: Tensor) -> Tensor:
        """What it costs to paint tokens with these patches.

        Args:
            half: The tokens.
            corners: (tokens, 3).
            around: (12, tokens, 3) the patches of the tokens `_AROUND`.
            goes_on: (4, tokens, 3) what those of the `_NEIGHBOURS` would go on with.
        """
        height, width = self.style.descriptors.shape[1:3]
        row = ((corners[..., 1] + CELL // 2) // CELL).clamp(max=height - 1)
        column = ((corners[..., 2] + CELL // 2) // CELL).clamp(max=width - 1)
        place = (corners[..., 0] * height + row) * width + column
        found = self.style.descriptors.flatten(0, 2).index_select(0, place)
        score = found.sub_(half.queries).square_().sum(-1)
        score += self.prices[corners[..., 0] // TURNS]
        if half.weight is not None:
            score *= half.weight
        score += _COHERENCE * (~_is_near(goes_on, corners, 1)).sum(0)
        score += _REPETITION * _is_near(around, corners, STRIDE - 1).sum(0)
        if half.carried is not None:
            score += _LOYALTY * ~_is_near(half.carried, corners, 2)
        return score

    def _inside(self, corners: Tensor) -> Tensor:
        """Keep patches within the common square."""
        side = self.style.pictures.shape[1] - PATCH
        return torch.cat((corners[..., :1], corners[..., 1:].clamp(0, side)), -1)

    def _cheapest(self, cost: Tensor, places: Tensor) -> Tensor:
        """Of the styles, by their prices: (tokens, 3)."""
        chosen = (cost + self.prices).argmin(-1)
        return places[torch.arange(len(chosen), device=chosen.device), chosen]


def _every_other(rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The numbers of the tokens on the light and on the dark fields of a chessboard."""
    # Counted before they reach a card: what it finds there, one would have to wait for.
    dark = (np.indices((rows, columns)).sum(0) % 2).ravel()
    light, other = (torch.from_numpy(np.flatnonzero(dark == half)) for half in (0, 1))
    return light.to(device), other.to(device)


def _is_near(some: Tensor, others: Tensor, distance: int) -> Tensor:
    """Whether corners (..., 3) are of one picture and at most so many pixels apart."""
    apart = (some - others).abs_()
    return (apart[..., 0] == 0) & (apart[..., 1] <= distance) & (apart[..., 2] <= distance)
