"""Samples of the bundled model: aligned as in use, with references as people have them."""

import random
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from refvid.training.aligned_samples import AlignedSampleDrawer
from refvid.training.batch import Batch
from refvid.training.clips import TrainingClip
from refvid.training.losses import log_error
from refvid.training.photographs import photograph
from refvid.training.recipes.mini import FrameCondition
from refvid.training.sample_options import SampleOptions

OPTIONS = SampleOptions(
    clips=2, frames=2, crop=64, reference_crop=64, max_distance=8, unrelated=0.0, missing=0.0,
    degraded_reference=0.0, undegraded=0.0, relit_reference=0.0,
)  # fmt: skip


def moving_clip(seed: int = 0) -> TrainingClip:
    """Texture that drifts by a pixel and a half a frame; degraded: blurred."""
    rng = np.random.default_rng(seed)
    large = cv2.GaussianBlur(rng.integers(0, 255, (160, 240, 3), np.uint8), (0, 0), 1.5)
    large = cv2.normalize(large, np.empty_like(large), 0, 255, cv2.NORM_MINMAX)
    clean = np.stack(
        [cv2.getRectSubPix(large, (160, 128), (90 + 1.5 * index, 80)) for index in range(9)]
    )
    degraded = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.2) for frame in clean])
    return TrainingClip(
        f"clip {seed}", np.asarray(clean, np.uint8), (np.asarray(degraded, np.uint8),)
    )


def draw(options: SampleOptions, index: int = 0) -> Batch:
    clips = [moving_clip(0), moving_clip(1)]
    return AlignedSampleDrawer(clips, options, 3, FrameCondition()).draw(index)


def test_a_batch_is_determined_by_its_number() -> None:
    one, again, other = draw(OPTIONS, 4), draw(OPTIONS, 4), draw(OPTIONS, 5)
    assert one.clip is not None
    assert one.aligned is not None
    assert again.aligned is not None
    assert again.clip is not None
    assert other.clip is not None
    assert torch.equal(one.clip, again.clip)
    assert torch.equal(one.aligned.pixels, again.aligned.pixels)
    assert not torch.equal(one.clip, other.clip)
    assert one.clip.shape == one.target.shape == one.aligned.pixels.shape == (2, 3, 2, 64, 64)
    assert one.aligned.trust.shape == (2, 3, 2, 16, 16)
    assert one.condition.shape[:2] == one.frame_error.shape == (2, 2)


def test_the_reference_lies_on_the_clean_frame() -> None:
    batch = draw(OPTIONS)
    assert batch.aligned is not None
    assert batch.clip is not None
    # The median: what drifted out of the picture is nowhere in the reference.
    before = (batch.clip - batch.target).abs().median()
    assert (batch.aligned.pixels - batch.target).abs().median() < 0.5 * before
    assert batch.aligned.trust[:, 0].mean() > 0.8


def test_an_unrelated_reference_is_trusted_less() -> None:
    right, wrong = draw(OPTIONS), draw(replace(OPTIONS, unrelated=1.0))
    # A drawn clip may be its own unrelated one: over several batches it is not.
    assert right.aligned is not None
    trust = [draw(replace(OPTIONS, unrelated=1.0), n).aligned.trust[:, 0].mean() for n in range(6)]
    assert min(trust) < right.aligned.trust[:, 0].mean() - 0.2
    assert wrong.reference is None


def test_without_a_reference_nothing_is_aligned() -> None:
    batch = draw(replace(OPTIONS, missing=1.0))
    assert batch.aligned is None
    assert batch.reference is None


@pytest.mark.parametrize("seed", range(6))
def test_a_photo_comes_back_to_its_frame(seed: int) -> None:
    clip = moving_clip(seed)
    frame, seen = clip.clean[0], clip.degraded[0][0]
    photo = photograph(frame, seen, random.Random(seed))
    assert photo.pixels.shape == frame.shape
    assert photo.shown.shape == frame.shape[:2]
    assert photo.shown.mean() > 0.2
    shown = photo.shown
    error = photo.pixels.astype(float)[shown] - frame[shown]
    spread = frame.astype(float)[shown].std()
    assert np.sqrt(np.square(error).mean()) < 0.8 * spread


def test_a_clean_frame_counts_as_much_as_a_bad_one() -> None:
    target = torch.zeros(2, 3, 8, 8)
    output = torch.zeros_like(target)
    output[0], output[1] = 0.2, 0.02
    halved = output.clone()
    halved[0] /= 2
    other = output.clone()
    other[1] /= 2
    first, second = log_error(halved, target), log_error(other, target)
    assert first == pytest.approx(float(second), abs=0.05)
    assert log_error(output, target) > first
    # A plain crop of a bad frame counts less than a plain frame.
    share = log_error(other, target, torch.tensor([0.04, 0.04]))
    assert log_error(output, target, torch.tensor([0.04, 0.04])) - share < 0.2
