"""Coded values and light: PQ, HLG, what SDR is coded by, and primaries.

Light is relative to diffuse white, which is 203 cd/m2 in HDR (ITU-R BT.2408) and the largest value
in SDR.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from refvid.media.color import BT709, BT2020

Values = npt.NDArray[np.floating[Any]]

DIFFUSE_WHITE: Final = 203.0
"""[cd/m2]"""

SDR_GAMMA: Final = 2.4
"""Of the screens that SDR is made for (BT.1886)."""

_PQ_PEAK: Final = 10000.0
_HLG_PEAK: Final = 1000.0
_HLG_SYSTEM_GAMMA: Final = 1.2
"""Of a screen of that peak (BT.2100)."""

# BT.2100, table 4 and table 5.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073

_BT2020_LUMINANCE: Final = np.array([0.2627, 0.6780, 0.0593], np.float32)

# CIE 1931 x and y of red, green and blue; white is D65.
_PRIMARIES: Final = MappingProxyType(
    {
        BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
        BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
        11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
        12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    }
)
WIDE_PRIMARIES: Final = frozenset(_PRIMARIES) - {BT709}
"""BT.2020 and both kinds of P3, whose whites are taken for one."""

_WHITE: Final = (0.3127, 0.3290)


def light_of_pq(codes: Values) -> Values:
    """PQ, 0 to 1 -> light."""
    root = np.maximum(codes, 0) ** (1 / _M2)
    light = np.maximum(root - _C1, 0) / (_C2 - _C3 * root)
    return np.asarray(light ** (1 / _M1) * (_PQ_PEAK / DIFFUSE_WHITE))


def pq_of_light(light: Values) -> Values:
    """Light -> PQ, 0 to 1."""
    power = np.clip(light * (DIFFUSE_WHITE / _PQ_PEAK), 0, 1) ** _M1
    return np.asarray(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)


def light_of_hlg(codes: Values) -> Values:
    """HLG, 0 to 1 -> light of a gray; of other colours, each channel as if it were one."""
    return np.asarray(scene_of_hlg(codes) ** _HLG_SYSTEM_GAMMA * (_HLG_PEAK / DIFFUSE_WHITE))


def shown_by_hlg(codes: Values) -> Values:
    """HLG of RGB (..., 3), 0 to 1 -> light, as a screen of 1000 cd/m2 shows it; BT.2020."""
    return show_scene(scene_of_hlg(codes))


def show_scene(scene: Values) -> Values:
    """Light of a scene (..., 3), 0 to 1 -> light, as a screen of 1000 cd/m2 shows it; BT.2020."""
    gain = np.maximum(scene @ _BT2020_LUMINANCE, 1e-9) ** (_HLG_SYSTEM_GAMMA - 1)
    return np.asarray(scene * (gain[..., np.newaxis] * (_HLG_PEAK / DIFFUSE_WHITE)))


def hlg_of_light(light: Values) -> Values:
    """Light of RGB (..., 3), as a screen of 1000 cd/m2 shows it -> HLG, in BT.2020's primaries."""
    shown = np.maximum(light, 0) * (DIFFUSE_WHITE / _HLG_PEAK)
    luminance = shown @ _BT2020_LUMINANCE
    gain = np.maximum(luminance, 1e-9) ** (1 / _HLG_SYSTEM_GAMMA - 1)
    scene = np.clip(shown * gain[..., np.newaxis], 0, 1)
    high = _A * np.log(np.maximum(12 * scene - _B, 1e-9)) + _C
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high))


def scene_of_hlg(codes: Values) -> Values:
    """HLG, 0 to 1 -> light of the scene."""
    return np.asarray(np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - _C) / _A) + _B) / 12))


def convert_primaries(light: Values, source: int, target: int) -> Values:
    """Light of RGB (..., 3) in other primaries; negative where those cannot show it.

    Primaries that are neither BT.709's nor wide are taken for BT.709's.
    """
    matrix = primaries_matrix(source, target)
    return light if np.array_equal(matrix, np.eye(3)) else np.asarray(light @ matrix.T)


def primaries_matrix(source: int, target: int) -> npt.NDArray[np.float64]:
    """(3, 3) from light in some primaries to light in others, see `convert_primaries`."""
    one, other = (_PRIMARIES.get(name, _PRIMARIES[BT709]) for name in (source, target))
    if one == other:
        return np.eye(3)
    return np.asarray(np.linalg.inv(_rgb_to_xyz(other)) @ _rgb_to_xyz(one))


def _rgb_to_xyz(primaries: tuple[tuple[float, float], ...]) -> npt.NDArray[np.float64]:
    points = np.array([[x / y, 1, (1 - x - y) / y] for x, y in (*primaries, _WHITE)]).T
    colors, white = points[:, :3], points[:, 3]
    return np.asarray(colors * np.linalg.solve(colors, white))
