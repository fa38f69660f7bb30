"""Degradations lose detail, keep the frame, and repeat themselves."""

import random

import numpy as np
import pytest

from refvid.metrics.psnr import psnr
from refvid.training.degradations import (
    EVALUATION_DEGRADATIONS,
    Degradation,
    degrade,
    random_degradation,
)


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    from refvid.evaluation.demo import sample_clip

    return sample_clip()[:3]


@pytest.mark.parametrize("name", EVALUATION_DEGRADATIONS)
def test_evaluation_degradations(clip: np.ndarray, name: str) -> None:
    degraded = degrade(clip, EVALUATION_DEGRADATIONS[name])
    assert degraded.shape == clip.shape
    assert degraded.dtype == np.uint8
    assert 20 < psnr(degraded, clip) < 34
    assert np.array_equal(degraded, degrade(clip, EVALUATION_DEGRADATIONS[name]))


def test_noise_is_seeded(clip: np.ndarray) -> None:
    noise = Degradation(noise=5.0)
    assert np.array_equal(degrade(clip, noise, seed=1), degrade(clip, noise, seed=1))
    assert not np.array_equal(degrade(clip, noise, seed=1), degrade(clip, noise, seed=2))
    assert psnr(degrade(clip, noise), clip) == pytest.approx(20 * np.log10(255 / 5), abs=0.5)


def test_random_degradations_cover_all_kinds() -> None:
    rng = random.Random(0)
    drawn = [random_degradation(rng) for _ in range(300)]
    assert {d.scale > 1 for d in drawn} == {True, False}
    assert {d.blur > 0 for d in drawn} == {True, False}
    assert {d.noise > 0 for d in drawn} == {True, False}
    assert min(d.crf for d in drawn if d.crf is not None) < 20
    assert max(d.crf for d in drawn if d.crf is not None) > 36
