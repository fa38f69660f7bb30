"""Sizes of style images, and colours that are kept."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from refvid.rebuild.lightness import keep_chroma
from refvid.rebuild.style import largest_scale, style_size

SIDE = st.integers(64, 4096)
WEIGHTS = (0.2126, 0.7152, 0.0722)


@given(style=st.tuples(SIDE, SIDE), frame=st.tuples(SIDE, SIDE), scale=st.floats(0.25, 4))
def test_style_sizes(style, frame, scale) -> None:
    width, height = style_size(style, frame, scale)
    assert width % 8 == height % 8 == 0
    assert min(width, height) >= 32
    wanted = frame[0] * frame[1] * min(scale, largest_scale()) ** 2
    proportions = style[0] / style[1]
    exact = math.sqrt(wanted * proportions), math.sqrt(wanted / proportions)
    for side, ideal in zip((width, height), exact, strict=True):
        assert abs(side - ideal) <= 4.001 or (side == 32 and ideal < 32)


def test_a_style_of_the_frames_size_stays() -> None:
    assert style_size((640, 480), (640, 480)) == (640, 480)
    assert style_size((640, 480), (640, 480), 0.5) == (320, 240)
    assert style_size((640, 480), (640, 480), 4) == style_size((640, 480), (640, 480), 2)


def luma(clip: torch.Tensor) -> torch.Tensor:
    return torch.einsum("bcthw,c->bthw", clip, torch.tensor(WEIGHTS))


def test_luma_of_one_and_chroma_of_the_other() -> None:
    torch.manual_seed(0)
    original = torch.rand(1, 3, 2, 16, 16) * 0.4 - 0.2
    restyled = torch.rand(1, 3, 2, 16, 16) * 0.4 - 0.2
    result = keep_chroma(original, restyled, WEIGHTS)
    assert luma(result) == pytest.approx(luma(restyled), abs=1e-6)
    assert result - luma(result) == pytest.approx(original - luma(original), abs=1e-6)


def test_colours_beyond_rgb_fade_but_keep_luma_and_hue() -> None:
    torch.manual_seed(0)
    original, restyled = torch.rand(2, 1, 3, 2, 16, 16) * 2.4 - 1.2
    original = original.clamp(-1, 1)
    result = keep_chroma(original, restyled, WEIGHTS)
    assert float(result.abs().max()) <= 1 + 1e-6
    assert luma(result) == pytest.approx(luma(restyled.clamp(-1, 1)), abs=1e-6)
    before, after = original - luma(original), result - luma(result)
    same_hue = torch.cosine_similarity(before, after, dim=1)
    faded = after.norm(dim=1) < 1e-3
    assert bool(((same_hue > 0.999) | faded).all())


def test_the_same_clip_stays() -> None:
    clip = torch.rand(1, 3, 1, 8, 8) * 2 - 1
    assert keep_chroma(clip, clip, WEIGHTS) == pytest.approx(clip, abs=1e-6)
