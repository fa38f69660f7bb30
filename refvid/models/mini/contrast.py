"""The contrast in which a frame shows what a reference shows: less of it, while a picture fades."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.models.mini.alignment import Found, Picture, Tone
from refvid.models.mini.ramp import ramp

_SURE = 0.8
"""Correlation of cells in which a reference is certainly found."""

_STRUCTURE_CELLS = (2.0, 8.0)
"""Deviations of two Gaussians [cells of 4x4 pixels]. What lies between is structure that even a
blur of 3 pixels leaves; half of that size, a blur of 1.5 seemed to be a lower contrast."""

_DIFFERENT = (0.07, 0.15)
"""Logarithm of a contrast that is taken for what a degraded frame has of 1 anyway; and of one that
counts in full."""

_LIMITS = (0.05, 4.0)
"""Contrasts that are believed: with a reference's detail, its errors are raised, too."""


def measure_tone(shades: Picture, found: Found) -> Tone | None:
    """How light and contrast of a reference become a frame's; None: they are alike.

    Measured by the slope of structure that both show: fades multiply it, and what a picture that
    comes into sight adds does not count.

    Args:
        shades: (H, W) gray of the frame.
        found: The reference, aligned with it.
    """
    where = found.trust[0] > _SURE
    if not where.any():
        return None
    ours, theirs = (_cells(picture, where.shape) for picture in (shades, found.shades))
    structure, their_structure = _structure(ours)[where], _structure(theirs)[where]
    slope = float(structure @ their_structure) / max(1e-6, float(their_structure @ their_structure))
    slope = float(np.clip(slope, *_LIMITS))
    share = ramp(abs(float(np.log(slope))), _DIFFERENT)
    if share == 0:
        return None
    return Tone(slope**share, float(theirs[where].mean()), float(ours[where].mean()))


def _cells(shades: Picture, size: tuple[int, ...]) -> NDArray[np.float32]:
    height, width = size
    cells = cv2.resize(shades, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cells, np.float32)


def _structure(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    fine, coarse = (cv2.GaussianBlur(cells, (0, 0), sigma) for sigma in _STRUCTURE_CELLS)
    return np.asarray(fine - coarse, np.float32)
