"""Masks: pictures whose light tells how much each pixel counts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from refvid.errors import InputError
from refvid.media.image import read_image
from refvid.media.pixel_conversion import Pixels

_ACROSS, _DOWN = 3, 5
"""Pixels from one to the next that is looked at: not in step with dithering."""

_LIT: Final = 0.05
_COLORED: Final = 0.25
"""Difference of a pixel's channels that no compression makes of a grey one."""

_MOST_COLORED: Final = 0.25
"""Share of the pixels with light that may have such colours."""

_NEARLY_BLACK: Final = 0.02
"""What programs write who count from 0 to 1, or 8 bits in 16."""


def read_mask(path: Path) -> NDArray[np.float32]:
    """Weights (H, W) in [0, 1] of a picture; where it is transparent it is black.

    Raises:
        InputError: It cannot be read, is in colours, or has next to no light.
    """
    return exact_weights(read_image(path, background=0), path)


def exact_weights(pixels: Pixels, path: Path) -> NDArray[np.float32]:
    """`mask_weights` of a picture without the noise of a video: black is 0.

    Raises:
        InputError: Its colours tell that it is no mask, or its light that it is one in other units.
    """
    weights = mask_weights(pixels, path)
    brightest = float(weights.max(initial=0))
    if 0 < brightest < _NEARLY_BLACK:
        most = int(np.iinfo(pixels.dtype).max)
        raise InputError(
            f"The mask {path} is nearly black: its brightest value is {brightest * most:.3g} of "
            f"{most}. Make it white where it counts."
        )
    return weights


def mask_weights(pixels: Pixels, path: Path) -> NDArray[np.float32]:
    """White counts fully, black not at all: (H, W, 3) pixels -> (H, W) in [0, 1].

    Args:
        pixels: Of a mask, or of one of its frames.
        path: For messages.

    Raises:
        InputError: Its colours tell that it is no mask.
    """
    total = pixels.sum(axis=2, dtype=np.uint32)
    weights: NDArray[np.float32] = total.astype(np.float32)
    most = int(np.iinfo(pixels.dtype).max)
    weights /= np.float32(3 * most)
    some = pixels[::_DOWN, ::_ACROSS]
    lit = some.max(axis=2) > _LIT * most
    colored = some.max(axis=2) - some.min(axis=2) > _COLORED * most
    if colored.sum() > _MOST_COLORED * lit.sum():
        raise InputError(
            f"The mask {path} is in colours. Make it white where it counts, and black elsewhere."
        )
    return weights
