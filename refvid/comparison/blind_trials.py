"""Blind trials: which two candidates of which clip, and on which sides."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One question: left or right?"""

    clip: int
    left: int
    """Index of a candidate."""

    right: int


def plan_trials(clips: int, candidates: int, draw: random.Random) -> list[Trial]:
    """Ask about every pair of candidates once per clip, clips and sides in random order.

    Each candidate of a pair is on the left equally often, give or take one: a rater who always
    takes the left side favours nobody.
    """
    trials = []
    for first, second in combinations(range(candidates), 2):
        sides = [index % 2 == 0 for index in range(clips)]
        if draw.random() < 0.5:  # an odd clip too many may be either's
            sides = [not side for side in sides]
        draw.shuffle(sides)
        for clip, is_straight in enumerate(sides):
            left, right = (first, second) if is_straight else (second, first)
            trials.append(Trial(clip=clip, left=left, right=right))
    # All questions on a clip together: a page loads one clip at a time.
    order = list(range(clips))
    draw.shuffle(order)
    draw.shuffle(trials)
    return sorted(trials, key=lambda trial: order.index(trial.clip))
