"""What every full-reference measure takes: two pictures of one shape and type, and maybe a mask.

Pictures are (H, W, 3) RGB, uint8 or (for PSNR, SSIM and MS-SSIM alike) uint16 at full scale. A mask
is (H, W) weights of the pixels, not negative and not all zero; weights all alike give what no mask
gives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.float32]
"""(H, W): how much each pixel counts, not negative."""

_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


class EmptyMask(ValueError):
    """A mask leaves nothing of a picture to measure."""


def check_pair(picture: NDArray[Any], reference: NDArray[Any]) -> None:
    """Raise ValueError unless both have one shape, and one type that is uint8 or uint16."""
    if picture.shape != reference.shape or picture.dtype != reference.dtype:
        raise ValueError(
            f"pictures differ: {picture.shape} {picture.dtype}, {reference.shape} {reference.dtype}"
        )
    if picture.dtype not in _TYPES:
        raise ValueError(f"pictures are uint8 or uint16, not {picture.dtype}")


def check_mask(mask: Mask, shape: tuple[int, ...]) -> None:
    """Check that a mask has a picture's (..., H, W, 3) size, and some weight.

    Raises:
        EmptyMask: It has none.
        ValueError: Another size, or a negative weight.
    """
    if mask.shape != shape[-3:-1]:
        raise ValueError(f"the mask is {mask.shape}, but the picture {shape[-3:-1]}")
    if not mask.min() >= 0:
        raise ValueError("the mask has negative weights")
    if not mask.any():
        raise EmptyMask("the mask is empty")
