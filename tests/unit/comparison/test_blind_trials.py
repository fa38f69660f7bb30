"""Blind trials."""

import random
from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from refvid.comparison.blind_trials import plan_trials


@given(clips=st.integers(1, 12), candidates=st.integers(2, 4), seed=st.integers(0, 2**32))
def test_every_pair_once_per_clip_and_sides_even(clips, candidates, seed):
    trials = plan_trials(clips, candidates, random.Random(seed))
    asked = Counter((t.clip, frozenset((t.left, t.right))) for t in trials)
    assert len(asked) == len(trials) == clips * candidates * (candidates - 1) // 2
    for first in range(candidates):
        for second in range(first + 1, candidates):
            pair = [t for t in trials if {t.left, t.right} == {first, second}]
            on_the_left = sum(t.left == first for t in pair)
            assert abs(2 * on_the_left - clips) <= 1
    # All questions on a clip together.
    order = [trial.clip for trial in trials]
    assert sum(a != b for a, b in pairwise(order)) == clips - 1


def test_seeds_decide():
    assert plan_trials(6, 2, random.Random(1)) == plan_trials(6, 2, random.Random(1))
    drawn = {tuple(t.left for t in plan_trials(6, 2, random.Random(s))) for s in range(20)}
    assert len(drawn) > 5
    # A single clip: either side.
    assert {plan_trials(1, 2, random.Random(s))[0].left for s in range(20)} == {0, 1}
