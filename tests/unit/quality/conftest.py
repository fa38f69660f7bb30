"""Pictures to measure."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

Pair = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def make_pair() -> Callable[..., Pair]:
    """A picture with texture at all scales, and what JPEG leaves of it (or noise, if so asked)."""

    def make(
        height: int = 192,
        width: int = 208,
        *,
        quality: int | None = 15,
        seed: int = 0,
        dtype: Any = np.uint8,
    ) -> Pair:
        rng = np.random.default_rng(seed)
        clean = np.zeros((height, width, 3))
        for cell in (4, 12, 40):
            size = (height // cell + 2, width // cell + 2, 3)
            coarse = Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8))
            box = (0, 0, width / cell, height / cell)
            clean += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC, box)) / 3
        clean = clean.round().astype(np.uint8)
        if quality is None:
            noisy = clean + rng.normal(0, 12, clean.shape)
            distorted = np.clip(noisy, 0, 255).round().astype(np.uint8)
        else:
            buffer = io.BytesIO()
            Image.fromarray(clean).save(buffer, "jpeg", quality=quality)
            distorted = np.array(Image.open(buffer))
        if dtype == np.uint16:
            # Not only multiples of 257: the low bits take part.
            low = rng.integers(-100, 100, clean.shape)
            deep = [np.clip(p.astype(int) * 257 + low, 0, 65535) for p in (distorted, clean)]
            return deep[0].astype(np.uint16), deep[1].astype(np.uint16)
        return distorted, clean

    return make


class TinyLpips(torch.nn.Module):
    """Has the parts of `lpips.LPIPS` that refvid uses, with random weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scaling_layer = torch.nn.Identity()
        self.first = torch.nn.Conv2d(3, 8, 5, stride=2, padding=2)
        self.second = torch.nn.Conv2d(8, 16, 3, stride=2, padding=1)
        # The linear layers of LPIPS have no negative weights.
        linear = [torch.nn.Conv2d(channels, 1, 1, bias=False) for channels in (8, 16)]
        for layer in linear:
            torch.nn.init.uniform_(layer.weight)
        self.lins = torch.nn.ModuleList(linear)

    def net(self, clip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        first = self.first(clip).relu()
        return first, self.second(first).relu()


@pytest.fixture
def tiny_lpips() -> TinyLpips:
    return TinyLpips()
