"""Exponential moving average of what learns: the weights that are exported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of a module's learning parameters, by name."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._live = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self.values = {name: p.detach().clone() for name, p in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after a step."""
        # Early weights are forgotten faster, or the average would lag behind for long.
        decay = min(self.decay, (1 + step) / (10 + step))
        live = [parameter.detach() for parameter in self._live.values()]
        torch._foreach_lerp_(list(self.values.values()), live, 1 - decay)

    @torch.no_grad()
    def load(self, values: Mapping[str, Tensor]) -> None:
        """Go on from saved values."""
        for name, value in self.values.items():
            value.copy_(values[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Use the average in place of the parameters for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._live.items():
            average = self.values[name]
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)
