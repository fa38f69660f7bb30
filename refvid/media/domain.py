"""HDR and wide gamut as a model for SDR can see them, and back.

Networks have learned SDR: diffuse white near the top, and steps that look alike coded by equal
differences. PQ and HLG leave SDR's range the lower half to three quarters of their codes. In the
domain here, a channel is coded as SDR codes its light (gamma 2.4), with diffuse white at
`WHITE_LEVEL`; what is brighter follows logarithmically, up to the brightest code. Primaries stay
the video's own, so that every colour has a place and nothing is clipped on either way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from refvid.media.color import ColorInfo
from refvid.media.light import (
    BT709,
    HLG,
    PQ,
    SDR_GAMMA,
    WIDE_PRIMARIES,
    Values,
    convert_primaries,
    hlg_of_light,
    light_of_hlg,
    light_of_pq,
    pq_of_light,
    shown_by_hlg,
)
from refvid.media.pixel_conversion import Pixels, to_uint8, to_uint16

WHITE_LEVEL: Final = 0.7
"""Where the domain has HDR's diffuse white, of 1.

At 0.85 SDR's contrast would be kept better (97 instead of 95 % of the gain), but what is brighter
would have so few steps left that references, which are 8 bits there, showed as bands in a sky."""

SRGB: Final = ColorInfo(primaries=BT709, transfer=13)
"""Of pictures that say nothing else."""

_WHITE: Final = 65535
_STRIP_ROWS: Final = 64
"""Converted at once: pictures become floats on the way."""


@dataclass(frozen=True, slots=True)
class _Tables:
    """Of one transfer function, from code to code of 16 bits."""

    to_domain: npt.NDArray[np.uint16]
    from_domain: npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """How a model sees a video of a transfer function and primaries (numbers of H.273)."""

    transfer: int
    primaries: int
    _tables: _Tables | None = field(default=None, repr=False)
    """None: SDR of a wide gamut, whose codes are as they should be."""

    @classmethod
    def of(cls, color: ColorInfo) -> Self | None:
        """The domain for a video; None where the model sees it as it is."""
        if color.is_hdr:
            return cls(
                transfer=color.transfer,
                primaries=color.primaries,
                _tables=_make_tables(color.transfer),
            )
        if color.primaries in WIDE_PRIMARIES:
            return cls(transfer=color.transfer, primaries=color.primaries)
        return None

    @property
    def is_hdr(self) -> bool:
        """Whether frames are converted; of wide gamuts only references are."""
        return self._tables is not None

    def take(self, frame: Pixels) -> Pixels:
        """Code values (h, w, 3) of the video -> the same for the model: uint16, where HDR."""
        return frame if self._tables is None else self._tables.to_domain[to_uint16(frame)]

    def give(self, frames: Pixels) -> Pixels:
        """What `take` gives -> code values of the video, uint16 where HDR."""
        return frames if self._tables is None else self._tables.from_domain[to_uint16(frames)]

    def bring(self, picture: Pixels, color: ColorInfo = SRGB) -> Pixels:
        """A picture (h, w, 3) of other colours -> the same for the model, of its type."""
        if (color.transfer, color.primaries) == (self.transfer, self.primaries):
            return self.take(picture)
        return _in_strips(picture, lambda rows: self._bring(rows, color))

    def _bring(self, picture: Pixels, color: ColorInfo) -> npt.NDArray[np.uint16]:
        codes = _code(_light(picture, color), color.primaries, self.transfer, self.primaries)
        return codes if self._tables is None else self._tables.to_domain[codes]


def bring_to_srgb(picture: Pixels, color: ColorInfo) -> Pixels:
    """A picture (h, w, 3) of HDR or a wide gamut -> the same in sRGB, of its type: diffuse white is
    white, and what is brighter, too.
    """
    return _in_strips(
        picture,
        lambda rows: _code(_light(rows, color), color.primaries, SRGB.transfer, BT709),
    )


def wrap_sdr(picture: Pixels, transfer: int, primaries: int) -> npt.NDArray[np.uint16]:
    """Code an SDR picture (h, w, 3) as HDR of the same looks, by BT.2408: its white is diffuse
    white.
    """
    return _code(_light(picture, SRGB), BT709, transfer, primaries)


def _in_strips(picture: Pixels, convert: Callable[[Pixels], npt.NDArray[np.uint16]]) -> Pixels:
    converted = np.empty(picture.shape, np.uint16)
    for top in range(0, len(picture), _STRIP_ROWS):
        rows = slice(top, top + _STRIP_ROWS)
        converted[rows] = convert(picture[rows])
    return to_uint8(converted) if picture.dtype == np.uint8 else converted


def _light(picture: Pixels, color: ColorInfo) -> Values:
    """Light of code values (h, w, 3), in their own primaries."""
    codes = to_uint16(picture) / np.float32(_WHITE)
    if color.transfer == PQ:
        return light_of_pq(codes)
    return shown_by_hlg(codes) if color.transfer == HLG else np.asarray(codes**SDR_GAMMA)


def _code(light: Values, source: int, transfer: int, primaries: int) -> npt.NDArray[np.uint16]:
    """Code values of light (h, w, 3) that is in the primaries `source`."""
    light = convert_primaries(light, source, primaries)
    if transfer == PQ:
        return _codes(pq_of_light(light))
    if transfer == HLG:
        return _codes(hlg_of_light(light))
    return _codes(np.maximum(light, 0) ** (1 / SDR_GAMMA))


def _make_tables(transfer: int) -> _Tables:
    codes = np.arange(_WHITE + 1) / _WHITE
    to_light = {PQ: light_of_pq, HLG: light_of_hlg}[transfer]
    levels = to_light(codes) ** (1 / SDR_GAMMA)  # 1 is diffuse white
    values = _with_shoulder(levels)
    return _Tables(_codes(values), _codes(np.interp(codes, values, codes)))


def _with_shoulder(levels: Values) -> Values:
    """0 to whatever -> 0 to 1: straight up to white, then the logarithm that ends at the top."""
    top = (levels.max() - 1) * WHITE_LEVEL
    low, high = 1e-6, 1.0
    for _ in range(60):  # halvings
        width = (low + high) / 2
        if width * np.log1p(top / width) < 1 - WHITE_LEVEL:
            low = width
        else:
            high = width
    above = np.maximum(levels - 1, 0) * WHITE_LEVEL
    straight = np.minimum(levels, 1) * WHITE_LEVEL
    return np.asarray(straight + high * np.log1p(above / high))


def _codes(values: Values) -> npt.NDArray[np.uint16]:
    return np.asarray(np.rint(np.clip(values, 0, 1) * _WHITE), np.uint16)
