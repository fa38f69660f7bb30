"""HDR and wide gamut as a model for SDR can see them, and back.

Networks have learned SDR: diffuse white near the top, BT.709's primaries, and steps that look alike
coded by equal differences. PQ and HLG leave SDR's range the lower half to three quarters of their
codes, and in BT.2020's primaries an error of one channel becomes one of all. In the domain here,
light is brought to BT.709's primaries and coded as SDR codes it (gamma 2.4), with diffuse white at
`WHITE_LEVEL`; what is brighter follows logarithmically, up to the brightest code. Colours that
BT.709 cannot show are held within it (`refvid.media.gamut`), so that nothing is clipped on either
way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from refvid.media.color import BT709, HLG, PQ, ColorInfo
from refvid.media.gamut import Floats, bend, unbend
from refvid.media.light import (
    SDR_GAMMA,
    WIDE_PRIMARIES,
    Values,
    convert_primaries,
    hlg_of_light,
    light_of_hlg,
    light_of_pq,
    pq_of_light,
    primaries_matrix,
    scene_of_hlg,
    show_scene,
    shown_by_hlg,
)
from refvid.media.pixel_conversion import Pixels, to_uint8, to_uint16

WHITE_LEVEL: Final = 0.7
"""Where the domain has HDR's diffuse white, of 1.

At 0.85 SDR's contrast would be kept better (a hundredth of the gain more), but what is brighter
would have so few steps left that references, which are 8 bits there, showed as bands in a sky."""

SRGB: Final = ColorInfo(primaries=BT709, transfer=13)
"""Of pictures that say nothing else."""

_WHITE: Final = 65535
_STRIP_ROWS: Final = 64
"""Converted at once: pictures become floats on the way."""


@dataclass(frozen=True, slots=True)
class _Curves:
    """Of one transfer function and primaries."""

    light: Floats
    """Light of each code of 16 bits; of HLG that of the scene."""

    levels: Floats
    """Level of each value of 16 bits in the domain: light as SDR codes it, 1 at diffuse white."""

    shoulder: float
    to_bt709: Floats
    from_bt709: Floats
    """(3, 3)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """How a model sees a video of a transfer function and primaries (numbers of H.273)."""

    transfer: int
    primaries: int
    _curves: _Curves | None = field(default=None, repr=False, compare=False)
    """None: SDR of a wide gamut, whose codes are as they should be."""

    @classmethod
    def of(cls, color: ColorInfo) -> Self | None:
        """The domain for a video; None where the model sees it as it is."""
        if color.is_hdr:
            return cls(
                transfer=color.transfer,
                primaries=color.primaries,
                _curves=_make_curves(color.transfer, color.primaries),
            )
        if color.primaries in WIDE_PRIMARIES:
            return cls(transfer=color.transfer, primaries=color.primaries)
        return None

    @property
    def is_hdr(self) -> bool:
        """Whether frames are converted; of wide gamuts only references are."""
        return self._curves is not None

    def take(self, frame: Pixels) -> Pixels:
        """Code values (h, w, 3) of the video -> the same for the model: uint16, where HDR."""
        curves = self._curves
        if curves is None:
            return frame
        return _in_strips(
            to_uint16(frame), lambda rows: _see(self._shown(rows, curves), curves.shoulder)
        )

    def give(self, frames: Pixels) -> Pixels:
        """What `take` gives (..., h, w, 3) -> code values of the video, uint16 where HDR."""
        curves = self._curves
        if curves is None:
            return frames
        rows: Pixels = to_uint16(frames).reshape(-1, *frames.shape[-2:])
        return _in_strips(rows, lambda part: self._unsee(part, curves)).reshape(frames.shape)

    def bring(self, picture: Pixels, color: ColorInfo = SRGB) -> Pixels:
        """A picture (h, w, 3) of other colours -> the same for the model, of its type."""
        if (color.transfer, color.primaries) == (self.transfer, self.primaries):
            return self.take(picture)
        return _in_strips(picture, lambda rows: self._bring(rows, color))

    def _bring(self, picture: Pixels, color: ColorInfo) -> npt.NDArray[np.uint16]:
        light = _light(picture, color)
        if self._curves is None:
            return _code(light, color.primaries, self.transfer, self.primaries)
        light = convert_primaries(light, color.primaries, BT709)
        return _see(light.astype(np.float32), self._curves.shoulder)

    def _shown(self, codes: Pixels, curves: _Curves) -> Floats:
        """Light in BT.709's primaries, negative where these cannot show it."""
        light = curves.light[codes]
        if self.transfer == HLG:
            light = show_scene(light)
        return np.asarray(light @ curves.to_bt709.T, np.float32)

    def _unsee(self, values: Pixels, curves: _Curves) -> npt.NDArray[np.uint16]:
        coded = unbend(curves.levels[values])
        light = _powered(coded, SDR_GAMMA)
        light = np.maximum(light @ curves.from_bt709.T, 0)
        return _codes(pq_of_light(light) if self.transfer == PQ else hlg_of_light(light))


def _see(light: Floats, shoulder: float) -> npt.NDArray[np.uint16]:
    """Values in the domain of light (h, w, 3) in BT.709's primaries."""
    return _codes(_with_shoulder(bend(_powered(light, 1 / SDR_GAMMA)), shoulder))


def _powered(values: Floats, exponent: float) -> Floats:
    return np.asarray(np.copysign(np.abs(values) ** np.float32(exponent), values))


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


def _make_curves(transfer: int, primaries: int) -> _Curves:
    codes = np.arange(_WHITE + 1) / _WHITE
    light = light_of_pq(codes) if transfer == PQ else light_of_hlg(codes)
    matrix = primaries_matrix(primaries, BT709)
    brightest = light[-1] * np.maximum(matrix, 0).sum(1).max()
    top = brightest ** (1 / SDR_GAMMA)
    shoulder = _find_shoulder(top)
    grid = np.linspace(0, top, 1 << 20)
    levels = np.interp(codes, _with_shoulder(grid, shoulder), grid)
    return _Curves(
        (light if transfer == PQ else scene_of_hlg(codes)).astype(np.float32),
        levels.astype(np.float32),
        shoulder,
        matrix.astype(np.float32),
        np.linalg.inv(matrix).astype(np.float32),
    )


def _find_shoulder(top: float) -> float:
    """The width of a logarithm that ends at 1 for the highest level."""
    low, high = 1e-6, 1.0
    for _ in range(60):  # halvings
        width = (low + high) / 2
        if width * np.log1p((top - 1) * WHITE_LEVEL / width) < 1 - WHITE_LEVEL:
            low = width
        else:
            high = width
    return high


def _with_shoulder(levels: Values, width: float) -> Values:
    """Levels -> 0 to 1: straight up to white, then the logarithm."""
    above = np.maximum(levels - 1, 0) * (WHITE_LEVEL / width)
    return np.asarray(np.minimum(levels, 1) * WHITE_LEVEL + width * np.log1p(above))


def _codes(values: Values) -> npt.NDArray[np.uint16]:
    return np.asarray(np.rint(np.clip(values, 0, 1) * _WHITE), np.uint16)
