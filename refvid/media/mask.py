"""Masks: pictures whose light tells how much each pixel counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refvid.media.pixel_conversion import Pixels


def mask_weights(pixels: Pixels) -> NDArray[np.float32]:
    """White counts fully, black not at all: (H, W, 3) pixels -> (H, W) in [0, 1]."""
    total = pixels.sum(axis=2, dtype=np.uint32)
    weights: NDArray[np.float32] = total.astype(np.float32)
    weights /= np.float32(3 * int(np.iinfo(pixels.dtype).max))
    return weights
