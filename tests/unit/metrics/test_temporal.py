"""Flicker and warping error are zero for perfect clips and grow with instability."""

import numpy as np
import pytest
from PIL import Image

from refvid.metrics.pairs import EmptyMask
from refvid.metrics.temporal import (
    block_motion,
    change_error,
    flicker,
    frame_motion,
    frame_warping_error,
    warping_error,
)


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


def test_flicker_of_deep_frames(clean: list[np.ndarray]) -> None:
    rng = np.random.default_rng(2)
    noisy = [np.clip(f + rng.normal(0, 10, f.shape), 0, 255).astype(np.uint8) for f in clean]
    deep = [[f.astype(np.uint16) * 257 for f in clip] for clip in (noisy, clean)]
    assert flicker(*deep) == pytest.approx(flicker(noisy, clean))
    black, white = (np.full((8, 8, 3), level, np.uint16) for level in (0, 65535))
    assert change_error(white, black, black, white) == 2  # the largest there is


def test_masked_change(clean: list[np.ndarray]) -> None:
    now, before = (frame.copy() for frame in (clean[1], clean[0]))
    now[:64] ^= 16
    mask = np.zeros(now.shape[:2], np.float32)
    mask[64:] = 0.5
    assert change_error(now, before, clean[1], clean[0], mask) == 0
    mask[:] = 0.5
    assert change_error(now, before, clean[1], clean[0], mask) == pytest.approx(8 / 255)
    assert change_error(now, before, clean[1], clean[0]) == pytest.approx(8 / 255)
    with pytest.raises(EmptyMask):
        change_error(now, before, clean[1], clean[0], mask * 0)
    with pytest.raises(ValueError, match="differ"):
        change_error(now, before[:64], clean[1], clean[0])


def test_masked_warping_error(clean: list[np.ndarray]) -> None:
    now, before = clean[1].copy(), clean[0]
    motion = frame_motion(clean[1], clean[0])
    now[:64] //= 2
    lower = np.zeros(now.shape[:2], np.float32)
    lower[64:] = 1
    unspoiled = frame_warping_error(clean[1], before, motion, lower)
    assert frame_warping_error(now, before, motion, lower) == unspoiled
    whole = frame_warping_error(now, before, motion)
    assert whole is not None
    assert unspoiled is not None
    assert whole > unspoiled + 0.05
    ones = np.ones_like(lower)
    assert frame_warping_error(now, before, motion, ones) == pytest.approx(whole)


def test_no_block_that_counts(clean: list[np.ndarray]) -> None:
    """After a cut nothing follows a motion: there is no error to speak of."""
    rng = np.random.default_rng(3)
    cut = [rng.integers(0, 256, clean[0].shape, dtype=np.uint8) for _ in range(2)]
    now, before = cut
    motion = frame_motion(now, before)
    assert frame_warping_error(now, before, motion) is None
    assert warping_error(cut, [motion]) == 0
