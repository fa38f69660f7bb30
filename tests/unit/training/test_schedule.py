"""Learning rate and stages over a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refvid.training.config import OptimizerConfig, RunConfig
from refvid.training.schedule import rate_factor, share_done, stage_at

PAPER = OptimizerConfig(warmup_steps=1000, warmup_share=0.01, final_share=0.01)


def test_warm_up_and_cosine() -> None:
    def at(step: int) -> float:
        return rate_factor(PAPER, step, step / 100_000)

    assert at(0) == pytest.approx(0.01)
    assert at(500) == pytest.approx(0.505, rel=1e-3)
    assert at(1000) == pytest.approx(1, rel=1e-3)
    assert at(50_000) == pytest.approx(0.505)
    assert at(100_000) == pytest.approx(0.01)


def test_without_a_warm_up_the_first_step_has_the_full_rate() -> None:
    assert rate_factor(OptimizerConfig(warmup_steps=0), 0, 0.0) == 1


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=5), st.floats(0, 1))
def test_stages_take_their_shares_in_order(shares: list[float], done: float) -> None:
    stage = stage_at(shares, done)
    total = sum(shares)
    assert sum(shares[:stage]) / total <= done + 1e-9
    if stage < len(shares) - 1:
        assert done < sum(shares[: stage + 1]) / total + 1e-9


def test_length_goes_by_steps_where_they_are_given() -> None:
    assert share_done(RunConfig(steps=10, minutes=1), 5, 60) == 0.5
    assert share_done(RunConfig(minutes=2), 5, 60) == 0.5
    assert share_done(RunConfig(minutes=2), 5, 600) == 1
