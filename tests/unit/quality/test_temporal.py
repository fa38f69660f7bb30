"""Flicker and warping error are zero for perfect clips and grow with instability."""

import numpy as np
import pytest
from PIL import Image

from refvid.quality.temporal import block_motion, flicker, warping_error


@pytest.fixture
def clean() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    picture = np.asarray(noise.resize((192, 128), Image.Resampling.BICUBIC))
    return [np.roll(picture, (2 * t, 3 * t), (0, 1)) for t in range(4)]


def test_flicker_counts_only_unsteady_errors(clean: list[np.ndarray]) -> None:
    steady = [np.clip(frame.astype(int) + 5, 0, 255).astype(np.uint8) for frame in clean]
    assert flicker(clean, clean) == 0
    assert flicker(steady, clean) < 0.001
    blinking = [np.clip(f.astype(int) + 8 * (t % 2), 0, 255) for t, f in enumerate(clean)]
    assert flicker([b.astype(np.uint8) for b in blinking], clean) == pytest.approx(8 / 255, rel=0.1)


def test_warping_error_follows_the_motion(clean: list[np.ndarray]) -> None:
    rng = np.random.default_rng(1)
    noisy = [np.clip(f + rng.normal(0, 10, f.shape), 0, 255).astype(np.uint8) for f in clean]
    motions = block_motion(clean)
    still = warping_error(clean, motions)
    assert still < 0.004
    assert warping_error(noisy, motions) == pytest.approx(10 * 2 / np.sqrt(np.pi) / 255, rel=0.2)
