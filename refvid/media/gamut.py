"""Colours that BT.709 cannot show, held within it: bent and not clipped, so that all come back.

In BT.709's primaries such colours have negative values. How far a channel lies below the largest
one, as a share of that, is bent from `_STRAIGHT` on so that the farthest colour of BT.2020 ends at
zero; what lies nearer, nearly all there is in SDR, stays as it is.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_STRAIGHT: Final = 0.85
_FARTHEST: Final = 1.81
"""Of BT.2020's colours in BT.709's primaries, coded with a gamma of 2.4."""

_WIDTH: Final = (1 - _STRAIGHT) * (_FARTHEST - _STRAIGHT) / (_FARTHEST - 1)
_SMALLEST: Final = 1e-6


def bend(values: Floats) -> Floats:
    """Values (..., 3) coded with a gamma, of negative light with its sign -> 0 and more."""
    largest, beyond = _split(values)
    return _put(values, largest, beyond, _WIDTH * beyond / (_WIDTH + beyond))


def unbend(values: Floats) -> Floats:
    """What `bend` gives -> what it was given."""
    largest, beyond = _split(values)
    beyond = np.minimum(beyond, 1 - _STRAIGHT)
    return _put(values, largest, beyond, _WIDTH * beyond / (_WIDTH - beyond))


def _split(values: Floats) -> tuple[Floats, Floats]:
    """The largest channel (..., 1), and how far beyond the straight part all are (..., 3)."""
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    largest = np.maximum(np.maximum(np.maximum(red, green), blue), _SMALLEST)[..., np.newaxis]
    return largest, np.maximum((1 - _STRAIGHT) - values / largest, 0)


def _put(values: Floats, largest: Floats, beyond: Floats, instead: Floats) -> Floats:
    bent = largest * ((1 - _STRAIGHT) - instead)
    return np.asarray(np.where(beyond > 0, bent, values), np.float32)
