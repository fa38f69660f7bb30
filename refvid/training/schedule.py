"""How far a run is, and what follows from it: learning rate and stage."""

from __future__ import annotations

import math
from collections.abc import Sequence

from refvid.training.config import OptimizerConfig, RunConfig


def share_done(run: RunConfig, step: int, seconds: float) -> float:
    """Share of the planned length that is done, 0 to 1: by steps where they are given."""
    if run.steps is not None:
        return min(1.0, step / run.steps)
    assert run.minutes is not None, "a run has a planned length"
    return min(1.0, seconds / (run.minutes * 60))


def rate_factor(options: OptimizerConfig, step: int, done: float) -> float:
    """Learning rate of a step as a share of the base rate: linear warm-up, cosine decay."""
    warm = 1.0
    if options.warmup_steps > 0:
        begun = min(1.0, step / options.warmup_steps)
        warm = options.warmup_share + (1 - options.warmup_share) * begun
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return warm * (options.final_share + (1 - options.final_share) * cosine)


def stage_at(shares: Sequence[float], done: float) -> int:
    """Index of the stage that a run is in when this share of it is done."""
    total = sum(shares)
    end = 0.0
    for index, share in enumerate(shares):
        end += share / total
        if done < end:
            return index
    return len(shares) - 1
