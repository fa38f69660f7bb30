"""Pictures to measure and to restyle."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
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
