"""Samples are cut where they say they are."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refvid.training.clips import TrainingClip
from refvid.training.samples import SampleDrawer, SampleOptions


def coordinate_clip(height: int, width: int, source: str, frames: int = 5) -> TrainingClip:
    """Pixels that tell their row, their column and their frame."""
    rows, columns = np.mgrid[:height, :width]
    picture = np.stack((rows, columns, np.zeros_like(rows)), -1).astype(np.uint8)
    clip = np.stack([picture + np.array((0, 0, t), np.uint8) for t in range(frames)])
    return TrainingClip(source, clip, (clip + np.array((0, 0, 100), np.uint8),))


def pixels(unit: torch.Tensor) -> torch.Tensor:
    return ((unit + 1) * 127.5).round()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_crops_lie_at_their_origin_in_the_reference(seed: int) -> None:
    clips = [coordinate_clip(96, 160, "a"), coordinate_clip(120, 88, "b")]
    options = SampleOptions(
        clips=3, frames=2, crop=48, reference_crop=80,
        unrelated=0, missing=0, degraded_reference=0, relit_reference=0, undegraded=0,
    )  # fmt: skip
    batch = SampleDrawer(clips, options, random.Random(seed)).draw()
    assert batch.reference is not None
    assert batch.degraded.shape == batch.clean.shape == (3, 2, 3, 48, 48)
    for item, (top, left) in enumerate(batch.origin.tolist()):
        spot = batch.reference[item, :2, top : top + 48, left : left + 48]
        for frame in range(2):
            assert torch.equal(pixels(batch.clean[item, frame, :2]), pixels(spot))
            assert torch.equal(pixels(batch.degraded[item, frame, :2]), pixels(spot))
            assert (pixels(batch.degraded[item, frame, 2]) >= 100).all()
            distance = pixels(batch.clean[item, frame, 2]) - pixels(batch.reference[item, 2]).max()
            assert (distance != 0).all(), "a frame is never its own reference"


def test_missing_and_unrelated_references() -> None:
    clips = [coordinate_clip(64, 64, "a"), coordinate_clip(64, 64, "b")]
    missing = SampleDrawer(clips, SampleOptions(crop=48, missing=1), random.Random(0)).draw()
    assert missing.reference is None
    unrelated = SampleOptions(crop=48, reference_crop=64, missing=0, unrelated=1, relit_reference=0)
    batch = SampleDrawer(clips, unrelated, random.Random(0)).draw()
    assert batch.reference is not None


def test_draws_repeat_with_their_random_state() -> None:
    clips = [coordinate_clip(64, 96, "a")]
    drawer = SampleDrawer(clips, SampleOptions(crop=48, reference_crop=64), random.Random(7))
    state = drawer.rng.getstate()
    first = drawer.draw()
    drawer.rng.setstate(state)
    again = drawer.draw()
    assert torch.equal(first.degraded, again.degraded)
    assert torch.equal(first.origin, again.origin)


def test_clips_smaller_than_a_crop_are_left_out() -> None:
    clips = [coordinate_clip(40, 96, "a"), coordinate_clip(64, 64, "b")]
    drawer = SampleDrawer(clips, SampleOptions(crop=48), random.Random(0))
    assert [[clip.source for clip in group] for group in drawer.groups] == [["b"]]


@pytest.mark.parametrize("frames", [1, 2])
def test_very_short_clips_repeat_their_frames(frames: int) -> None:
    drawer = SampleDrawer(
        [coordinate_clip(64, 64, "a", frames)],
        SampleOptions(crop=48, reference_crop=64, frames=3),
        random.Random(0),
    )
    assert drawer.draw().clean.shape[1] == 3
