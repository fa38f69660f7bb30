"""Finite scalar quantisation: a token is a few numbers, each rounded to one of a few levels.

Mentzer et al., arXiv:2309.15505. There is no codebook to learn: the codes are all combinations of
levels, and the index of a combination is a number in a mixed radix, the first one fastest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_MARGIN = 1e-3
"""The outermost levels are reached before infinity."""


_OUTERMOST = 0.96
"""Where the outermost levels stand for on average; their own place is infinity."""


class Quantiser:
    """Numbers <-> levels <-> indices; it has no weights.

    Args:
        levels: How many levels each of the numbers of a token has, at least two.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        if not levels or min(levels) < 2:
            raise ValueError(f"levels are at least two each, not {tuple(levels)}")
        self.levels = tuple(levels)

    @property
    def codes(self) -> int:
        """Combinations of levels: indices are below this."""
        return math.prod(self.levels)

    @property
    def bits(self) -> float:
        """Information in a token [bits]."""
        return math.log2(self.codes)

    def quantise(self, values: Tensor) -> Tensor:
        """Round numbers (N, D, ...) of any size to levels in [-1, 1], in float32.

        The gradient passes through as if nothing were rounded.
        """
        levels = self._per_channel(values, self.levels)
        half = (levels - 1) * (1 + _MARGIN) / 2
        offset = torch.where(levels % 2 == 0, 0.5, 0.0)
        bounded = torch.tanh(values.float() + torch.atanh(offset / half)) * half - offset
        rounded = bounded + (bounded.round() - bounded).detach()
        return rounded / (levels / 2).floor()

    def expand(self, quantised: Tensor) -> Tensor:
        """About the numbers that `quantise` was given: its bounds undone, not its rounding."""
        levels = self._per_channel(quantised, self.levels)
        half = (levels - 1) * (1 + _MARGIN) / 2
        offset = torch.where(levels % 2 == 0, 0.5, 0.0)
        bounded = (quantised.float() * (levels / 2).floor() + offset) / half
        return torch.atanh(bounded.clamp(-_OUTERMOST, _OUTERMOST)) - torch.atanh(offset / half)

    def to_indices(self, quantised: Tensor) -> Tensor:
        """What `quantise` gave, (N, D, ...) -> indices (N, ...) int64."""
        steps = self._per_channel(quantised, [count // 2 for count in self.levels])
        places = self._per_channel(quantised, self._radix())
        digits = (quantised * steps).round() + steps
        return (digits.double() * places).sum(1).round().long()

    def from_indices(self, indices: Tensor) -> Tensor:
        """Indices (N, ...) -> levels (N, D, ...) in [-1, 1], float32.

        Raises:
            ValueError: An index is none of a code.
        """
        if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < self.codes:
            raise ValueError(f"an index is not below the {self.codes} codes")
        digits = [
            indices.div(place, rounding_mode="floor") % count
            for place, count in zip(self._radix(), self.levels, strict=True)
        ]
        steps = [count // 2 for count in self.levels]
        numbers = [(digit.float() - step) / step for digit, step in zip(digits, steps, strict=True)]
        return torch.stack(numbers, 1)

    def _radix(self) -> list[int]:
        return [math.prod(self.levels[:place]) for place in range(len(self.levels))]

    def _per_channel(self, like: Tensor, numbers: Sequence[int]) -> Tensor:
        shape = (1, -1, *[1] * (like.dim() - 2))
        return torch.tensor(numbers, dtype=torch.float32, device=like.device).view(shape)
