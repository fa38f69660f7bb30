"""The global path: a frame painted with patches of the style, which stay on what they paint.

Attention for style cannot look at the same place, as that for a frame of the same shot does: every
token of the frame attends to the whole style image in all turns, and the sharpest attention is a
choice of one patch. Three things make a painting of the choices:

- neighbours prefer patches that lie side by side in the style: large strokes stay whole;
- a token keeps the patch that painted its content in the frame before, unless another fits much
  better;
- where the video follows its motion, what is painted moves along with it, pixel by pixel.

Everything here is fixed: it learns nothing and takes no gradients. What the decoder makes of the
painting is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from refvid.models.mini_style.keyframes import Followed, KeyframeIndex, follow_keyframes
from refvid.models.mini_style.motion import Motion, find_motion, move, spread
from refvid.models.mini_style.palette import Moments, measure_moments, recolour
from refvid.models.mini_style.smooth import box_mean
from refvid.models.mini_style.style_index import TURNS, StyleIndex, index_styles
from refvid.models.mini_style.tokens import (
    CELL,
    PATCH,
    STRIDE,
    cut_patches,
    describe,
    join_patches,
    pad_for_tokens,
)

_COHERENCE = 0.8
"""What a neighbour's patch from elsewhere in the style costs; in units of squared descriptors."""

_REPETITION = 0.6
"""What taking the same patch again close by costs: it would show as a pattern of tiles."""

_LOYALTY = 1.0
"""What leaving the patch costs that painted the same content in the frame before."""

_KEEP = 0.92
"""Share of what was painted before in what is painted, where the motion is certain."""

_MOST_CRISP = 1.2
"""Detail of what moved along is strengthened by at most this from frame to frame."""

_FINE = 5
"""What is smaller than this is detail [pixels]."""

_DRIFT = 0.05
"""Share of a new frame in the shot's palette."""

_SWEEPS, _SWEEPS_LATER = 3, 2
"""How often all tokens weigh their neighbours: in the first frame of a shot, and in the others."""

_ATTEMPTS = 12
"""How often several styles try other prices in the first frame."""

_ABOUT = (1.0, 0.05)
"""Patches that are this much worse than the best one are about as good: a share, and a sum."""

_CHOICES = 32
"""Among how many of these a piece is chosen."""

_PIECE = 4
"""Side of the pieces of the style that a painting begins with [tokens]."""

_TURNS_TO_SEARCH = 8
"""A token that was carried along searches anywhere in every so many frames."""

_QUERIES_AT_ONCE = 1024
"""Bounds the memory of the search anywhere."""

_NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))

_AROUND = (
    *_NEIGHBOURS,
    *((-1, -1), (-1, 1), (1, -1), (1, 1)),
    *((-2, 0), (2, 0), (0, -2), (0, 2)),
)
"""Where the same patch must not lie."""


@dataclass(frozen=True, slots=True)
class Painting:
    """What the decoder sees of one frame, (3, H, W) each, about [-1, 1]."""

    recoloured: Tensor
    """The frame in the colours of the style."""

    painted: Tensor
    """The frame made of patches of the style."""

    finished: Tensor | None = None
    """(H, W) how far the painting follows a keyframe, from 0 to 1: there it is what is wanted."""


@dataclass(frozen=True, slots=True)
class PaintState:
    """What a shot hands from frame to frame."""

    frame: Tensor
    """(3, H, W) the frame before."""

    painted: Tensor
    """(3, H, W) its painting."""

    corners: Tensor
    """(rows, columns, 3) the patch of every token."""

    moments: Moments
    """Palette of the shot so far."""

    prices: Tensor
    """(styles,) what keeps each style at its share of the frame."""

    turn: int
    """Which of the tokens search anywhere in the next frame."""

    followed: Followed | None
    """Where keyframes were found."""


@torch.no_grad()
def paint(
    frame: Tensor,
    style: StyleIndex,
    state: PaintState | None = None,
    keyframes: Sequence[KeyframeIndex] = (),
) -> tuple[Painting, PaintState]:
    """Paint the next frame of a shot.

    Args:
        frame: (3, H, W) float32 in [-1, 1]; H and W multiples of 8.
        style: From `index_styles`.
        state: Of the frame before; None at the start of a shot.
        keyframes: Frames of the clip that somebody has painted.
    """
    seen = measure_moments(frame)
    moments = seen if state is None else state.moments.mixed(seen, _DRIFT)
    recoloured = recolour(frame, moments, style.moments)
    motion = None if state is None else find_motion(frame, state.frame)
    queries = describe(pad_for_tokens(recoloured))[:: STRIDE // CELL, :: STRIDE // CELL]
    choice = _Choice(queries, style)
    if state is None or motion is None:
        choice.begin()
    else:
        choice.carry(state, motion)
    corners = choice.settle()
    patches = cut_patches(style.pictures, corners.view(-1, 3))
    rows, columns = corners.shape[:2]
    painted = join_patches(patches.float().div_(127.5).sub_(1), (rows, columns))
    followed = None
    if keyframes:
        followed = follow_keyframes(frame, keyframes, state.followed if state else None)
        painted = torch.lerp(painted, followed.painted, followed.share)
    if state is not None and motion is not None:
        keep = spread(motion.trust) * _KEEP
        if followed is not None:
            # A keyframe comes out as it was painted, and not as something else becoming it.
            keep = keep * (1 - followed.share**8)
        painted = _keep_crisp(torch.lerp(painted, move(state.painted, motion), keep), painted)
    made = Painting(recoloured, painted, None if followed is None else followed.share)
    turn = choice.turn + 1
    return made, PaintState(frame, painted, corners, moments, choice.prices, turn, followed)


class _Choice:
    """Which patch paints which token."""

    def __init__(self, queries: Tensor, style: StyleIndex) -> None:
        self.queries, self.style = queries, style
        self.rows, self.columns = queries.shape[:2]
        row = torch.arange(self.rows, device=queries.device)
        column = torch.arange(self.columns, device=queries.device)
        self.even = (row[:, None] + column) % 2 == 0
        self.number = row[:, None] * self.columns + column
        self.carried: Tensor | None = None
        self.turn = 0
        sides = [(0, STRIDE * down, STRIDE * right) for down, right in _NEIGHBOURS]
        self.offsets = torch.tensor(sides, device=queries.device)[:, None, None]

    def begin(self) -> None:
        """Search anywhere for every token, and begin with large pieces."""
        cost, places = self._search_anywhere(self.queries.flatten(0, 1))
        shares = self.style.shares
        self.prices = torch.zeros_like(shares)
        # Several styles find their prices by trying: each is to paint its share.
        for attempt in range(1 if len(shares) == 1 else _ATTEMPTS):
            self.anywhere = self._cheapest(cost, places).view(self.rows, self.columns, 3)
            self.corners = self._follow_leaders()
            if attempt < _ATTEMPTS - 1 and len(shares) > 1:
                painted = self.settle()[..., 0].flatten() // TURNS
                excess = torch.bincount(painted, minlength=len(shares)) / len(painted) - shares
                self.prices = self.prices + float(cost.std()) * 2 * 0.8**attempt * excess

    def carry(self, state: PaintState, motion: Motion) -> None:
        """Begin with the patches of the frame before, moved with what they painted."""
        self.prices, self.turn = state.prices, state.turn
        moved, trust = self._moved(state.corners, motion)
        lost = trust < 0.5
        # Most tokens stay with what they have: a few at a time look for something better.
        searching = lost | ((self.number + self.turn) % _TURNS_TO_SEARCH == 0)
        found = self._cheapest(*self._search_anywhere(self.queries[searching]))
        self.anywhere = moved.clone()
        self.anywhere[searching] = found
        self.carried = moved
        self.corners = torch.where(lost[..., None], self.anywhere, moved)

    def _moved(self, corners: Tensor, motion: Motion) -> tuple[Tensor, Tensor]:
        """Where the tokens' content was painted from, and how sure that is."""
        # A token's middle is the corner of a block; the last row and column have none of their own.
        position = motion.position
        position = torch.cat((position, position[-1:] + position.new_tensor((STRIDE, 0))))
        position = torch.cat((position, position[:, -1:] + position.new_tensor((0, STRIDE))), 1)
        trust = torch.cat((motion.trust, motion.trust[-1:]))
        trust = torch.cat((trust, trust[:, -1:]), 1)
        row = (position[..., 0] + STRIDE // 2).div(STRIDE, rounding_mode="floor")
        column = (position[..., 1] + STRIDE // 2).div(STRIDE, rounding_mode="floor")
        row, column = row.clamp(0, self.rows - 1), column.clamp(0, self.columns - 1)
        moved = corners[row, column].clone()
        moved[..., 1] += position[..., 0] - row * STRIDE
        moved[..., 2] += position[..., 1] - column * STRIDE
        return self._inside(moved), trust

    def settle(self) -> Tensor:
        """Let neighbours agree: (rows, columns, 3)."""
        for _ in range(_SWEEPS if self.carried is None else _SWEEPS_LATER):
            for turn in (self.even, ~self.even):
                # Half of the tokens move at a time: next neighbours are of the other half.
                around = torch.stack([_shift(self.corners, *side) for side in _AROUND])
                goes_on = around[: len(_NEIGHBOURS)] - self.offsets
                score = self._score(self.corners, around, goes_on)
                for candidate in (self.anywhere, *self._inside(goes_on)):
                    other = self._score(candidate, around, goes_on)
                    better = (other < score) & turn
                    score = torch.where(better, other, score)
                    self.corners = torch.where(better[..., None], candidate, self.corners)
        return self.corners

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
        chosen = self._search_varied(leaders.flatten(0, 1)).view(*leaders.shape[:2], 3)
        led = chosen[row // _PIECE][:, column // _PIECE].clone()
        led[..., 1] += ((row - lead_rows[row // _PIECE]) * STRIDE)[:, None]
        led[..., 2] += (column - lead_columns[column // _PIECE]) * STRIDE
        return self._inside(led)

    def _search_varied(self, queries: Tensor) -> Tensor:
        """For every query one of the patches that are nearly the best: (queries, 3)."""
        keys, places = self.style.keys, self.style.key_places
        offset = keys.square().sum(-1) + self.prices[places[:, 0] // TURNS]
        most = min(_CHOICES, len(keys))
        parts = [
            torch.addmm(offset, part, keys.T, alpha=-2).topk(most, largest=False)
            for part in torch.split(queries, _QUERIES_AT_ONCE)
        ]
        costs, found = (torch.cat([part[n] for part in parts]) for n in (0, 1))
        best = costs[:, :1] + queries.square().sum(1, keepdim=True)
        as_good = (costs - costs[:, :1] <= _ABOUT[0] * best + _ABOUT[1]).sum(1)
        # Golden ratio: neighbours get different choices, and the same frame always the same ones.
        # Where doubles are at hand: not every graphics card has them.
        spread_out = torch.arange(len(queries), dtype=torch.float64) * 0.6180339887498949 % 1
        choice = (spread_out * as_good.cpu()).long().to(queries.device)
        return places[found.gather(1, choice[:, None])[:, 0]]

    def _score(self, corners: Tensor, around: Tensor, goes_on: Tensor) -> Tensor:
        """What it costs to paint tokens with these patches.

        Args:
            corners: (rows, columns, 3).
            around: (12, rows, columns, 3) the patches of the tokens `_AROUND`.
            goes_on: (4, rows, columns, 3) what those of the `_NEIGHBOURS` would go on with.
        """
        height, width = self.style.descriptors.shape[1:3]
        row = ((corners[..., 1] + CELL // 2) // CELL).clamp(max=height - 1)
        column = ((corners[..., 2] + CELL // 2) // CELL).clamp(max=width - 1)
        place = (corners[..., 0] * height + row) * width + column
        found = self.style.descriptors.flatten(0, 2).index_select(0, place.flatten())
        score = (found.view_as(self.queries) - self.queries).square_().sum(-1)
        score += self.prices[corners[..., 0] // TURNS]
        score += _COHERENCE * (~_is_near(goes_on, corners, 1)).sum(0)
        score += _REPETITION * _is_near(around, corners, STRIDE - 1).sum(0)
        if self.carried is not None:
            score += _LOYALTY * ~_is_near(self.carried, corners, 2)
        return score

    def _inside(self, corners: Tensor) -> Tensor:
        """Keep patches within the common square."""
        side = self.style.pictures.shape[1] - PATCH
        return torch.cat((corners[..., :1], corners[..., 1:].clamp(0, side)), -1)

    def _search_anywhere(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Best patch of each style: costs (tokens, styles) and corners (tokens, styles, 3)."""
        style_of = self.style.key_places[:, 0] // TURNS
        costs, places = [], []
        for number in range(len(self.style.shares)):
            mine = style_of == number
            keys, places_of = self.style.keys[mine], self.style.key_places[mine]
            squares = keys.square().sum(-1)
            found = [
                torch.addmm(squares, part, keys.T, alpha=-2).min(-1)
                for part in torch.split(queries, _QUERIES_AT_ONCE)
            ]
            costs.append(torch.cat([f.values for f in found]))
            places.append(places_of[torch.cat([f.indices for f in found])])
        return torch.stack(costs, -1), torch.stack(places, 1)

    def _cheapest(self, cost: Tensor, places: Tensor) -> Tensor:
        """Of the styles, by their prices: (tokens, 3)."""
        chosen = (cost + self.prices).argmin(-1)
        return places[torch.arange(len(chosen), device=chosen.device), chosen]


def _keep_crisp(blended: Tensor, fresh: Tensor) -> Tensor:
    """Give back the strength of detail that moving and cross-fading take frame by frame."""
    detail, wanted = (p - box_mean(p[None], _FINE)[0] for p in (blended, fresh))
    strength = (wanted.square().mean() / detail.square().mean().clamp_min(1e-8)).sqrt()
    return blended + detail * (strength.clamp(1, _MOST_CRISP) - 1)


def _is_near(some: Tensor, others: Tensor, distance: int) -> Tensor:
    """Whether corners (..., 3) are of one picture and at most so many pixels apart."""
    apart = (some - others).abs_()
    return (apart[..., 0] == 0) & (apart[..., 1] <= distance) & (apart[..., 2] <= distance)


def _shift(corners: Tensor, row: int, column: int) -> Tensor:
    """What the neighbour at (row, column) has; the border repeats itself."""
    rows, columns = corners.shape[:2]
    device = corners.device
    at = (torch.arange(rows, device=device) + row).clamp(0, rows - 1)
    across = (torch.arange(columns, device=device) + column).clamp(0, columns - 1)
    return corners[at][:, across]


def paint_clip(frames: Tensor, style: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Paint the frames of one shot, for training.

    Args:
        frames: (T, 3, H, W) in [-1, 1]; H and W multiples of 8.
        style: (3, h, w) in [-1, 1]; h and w multiples of 8.

    Returns:
        Recoloured and painted frames (T, 3, H, W), and the style's statistics (T, S).
    """
    index = index_styles([(style, 1.0)])
    recoloured, painted = [], []
    state: PaintState | None = None
    for frame in frames.unbind(0):
        painting, state = paint(frame, index, state)
        recoloured.append(painting.recoloured)
        painted.append(painting.painted)
    statistics = index.statistics.expand(len(frames), -1)
    return torch.stack(recoloured), torch.stack(painted), statistics
