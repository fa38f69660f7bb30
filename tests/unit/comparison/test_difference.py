"""Where and when pictures differ."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refvid.comparison.difference import (
    common_peak,
    difference_map,
    heat_picture,
    hottest_box,
    pick_peaks,
    shrink_map,
)


def test_map_is_the_mean_over_colours():
    first = np.zeros((2, 3, 3), np.uint8)
    second = first.copy()
    second[1, 2] = (30, 0, 60)
    first[0, 0] = (255, 255, 255)
    values = difference_map(first, second)
    assert values[1, 2] == 30
    assert values[0, 0] == 255
    assert values.sum() == 285
    assert (difference_map(second, first) == values).all()


def test_shrinking_keeps_the_mean():
    values = np.random.default_rng(0).random((40, 80), np.float32)
    small = shrink_map(values, 20)
    assert small.shape == (10, 20)
    assert small.mean() == pytest.approx(values.mean(), abs=1e-4)
    assert shrink_map(values, 80) is values


def test_heat_grows_brighter():
    ramp = np.linspace(0, 50, 200, dtype=np.float32)[None]
    luma = heat_picture(ramp, 50).astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luma[0]) >= -0.01).all()
    assert (
        heat_picture(np.full((1, 1), 900, np.float32), 50) == luma.shape[0] * [[[250, 240, 150]]]
    ).all()
    assert common_peak([]) == 1


@given(st.lists(st.floats(0, 255), min_size=1, max_size=200), st.integers(1, 8))
def test_peaks_are_apart_in_order_and_hold_the_largest(differences, count):
    peaks = pick_peaks(differences, count)
    assert peaks == sorted(set(peaks))
    assert len(peaks) <= count
    assert all(differences[index] > 0 for index in peaks)
    if max(differences) > 0:
        assert max(differences) == max(differences[index] for index in peaks)
    else:
        assert peaks == []
    distance = max(1, len(differences) // (count + 2))
    assert all(b - a >= distance for a, b in pairwise(peaks))


@given(st.integers(0, 35), st.integers(0, 25))
def test_hottest_box_holds_a_hot_spot(x, y):
    values = np.zeros((30, 40), np.float32)
    values[y : y + 5, x : x + 5] = 9
    left, top, right, bottom = hottest_box(values, 12, 8)
    assert (right - left, bottom - top) == (12, 8)
    assert left >= 0
    assert top >= 0
    assert right <= 40
    assert bottom <= 30
    assert values[top:bottom, left:right].sum() == values.sum()


def test_box_larger_than_the_map():
    assert hottest_box(np.ones((3, 4), np.float32), 100, 100) == (0, 0, 4, 3)
