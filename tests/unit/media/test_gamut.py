"""Strong colours are bent into BT.709, and come back."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from refvid.media.color import BT709
from refvid.media.gamut import bend, unbend
from refvid.media.light import SDR_GAMMA, convert_primaries

levels = st.floats(0, 1, width=32)


@given(st.tuples(levels, levels, levels), st.sampled_from([9, 12]))
def test_every_color_of_a_wider_gamut(color: tuple[float, float, float], primaries: int) -> None:
    light = convert_primaries(np.array(color) ** SDR_GAMMA, primaries, BT709)
    values = (np.sign(light) * np.abs(light) ** (1 / SDR_GAMMA)).astype(np.float32)
    bent = bend(values)
    assert bent.min() >= 0
    assert np.abs(unbend(bent) - values).max() < 1e-3


def test_weak_colors_stay_as_they_are() -> None:
    values = np.array([[0.2, 0.5, 1.0], [0.5, 0.5, 0.5], [0, 0, 0], [3.0, 2.0, 0.5]], np.float32)
    assert np.allclose(bend(values), values, rtol=0, atol=1e-6)
    assert np.allclose(unbend(values), values, rtol=0, atol=1e-6)


def test_order_is_kept() -> None:
    """Stronger colours stay the stronger ones."""
    weakest = np.linspace(1, -0.8, 200, dtype=np.float32)
    bent = bend(np.stack([np.ones(200, np.float32), weakest, weakest], -1))[:, 1]
    assert (np.diff(bent) < 0).all()
