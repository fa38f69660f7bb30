"""Latents that look like Wan's, and files as other programs write them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from refvid.latents.wan import to_raw


@pytest.fixture
def wan_latents() -> Callable[..., Tensor]:
    """Make (1, 16, T, h, w): normalised unless raw is asked for, smooth in time and space."""

    def make(
        length: int = 5, height: int = 6, width: int = 10, *, raw: bool = False, seed: int = 0
    ) -> Tensor:
        random = torch.Generator().manual_seed(seed)
        steps = torch.randn(16, length, height, width, generator=random)
        walk = torch.randn(16, 1, height, width, generator=random) + 0.2 * steps.cumsum(1)
        walk = (walk - walk.mean((1, 2, 3), keepdim=True)) / walk.std((1, 2, 3), keepdim=True)
        latents = walk[None]
        return to_raw(latents) if raw else latents

    return make
