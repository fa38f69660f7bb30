"""Samples are cut where they say they are."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refvid.errors import OptionError
from refvid.training.clip_source import weigh_groups
from refvid.training.clips import TrainingClip
from refvid.training.sample_options import SampleOptions
from refvid.training.samples import SampleDrawer, to_unit


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
    batch = SampleDrawer(clips, options, seed).draw(seed)
    assert batch.reference is not None
    assert batch.clip is not None
    assert batch.clip.shape == batch.target.shape == (3, 3, 2, 48, 48)
    for item, (top, left) in enumerate(batch.origin.tolist()):
        spot = batch.reference[item, :2, top : top + 48, left : left + 48]
        for frame in range(2):
            assert torch.equal(pixels(batch.target[item, :2, frame]), pixels(spot))
            assert torch.equal(pixels(batch.clip[item, :2, frame]), pixels(spot))
            assert (pixels(batch.clip[item, 2, frame]) >= 100).all()
            distance = pixels(batch.target[item, 2, frame]) - pixels(batch.reference[item, 2]).max()
            assert (distance != 0).all(), "a frame is never its own reference"


def test_missing_and_unrelated_references() -> None:
    clips = [coordinate_clip(64, 64, "a"), coordinate_clip(64, 64, "b")]
    missing = SampleDrawer(clips, SampleOptions(crop=48, missing=1)).draw(0)
    assert missing.reference is None
    unrelated = SampleOptions(crop=48, reference_crop=64, missing=0, unrelated=1, relit_reference=0)
    batch = SampleDrawer(clips, unrelated).draw(0)
    assert batch.reference is not None


def test_stated_shares_are_kept() -> None:
    clips = [coordinate_clip(64, 64, "a")]
    options = SampleOptions(clips=1, frames=1, crop=48, reference_crop=48, missing=0.25)
    drawer = SampleDrawer(clips, options)
    missing = sum(drawer.draw(index).reference is None for index in range(600))
    assert abs(missing - 150) < 40


def test_made_clips_have_a_share_of_their_own() -> None:
    def group(source: str, count: int) -> list[TrainingClip]:
        return [coordinate_clip(8, 8, source)] * count

    real, made = [group("a", 9), group("b", 1)], [group("made:bars", 4), group("made:dark", 4)]
    assert weigh_groups([*real, *made], 0.2) == pytest.approx([0.6, 0.2, 0.1, 0.1])
    assert weigh_groups(real, 0.2) == [3, 1]
    assert weigh_groups(made, 0.2) == [2, 2]
    assert weigh_groups([*real, *made], 0)[2:] == [0, 0]


@given(index=st.integers(0, 10_000), seed=st.integers(0, 100))
def test_a_batch_is_its_number(index: int, seed: int) -> None:
    clips = [coordinate_clip(64, 96, "a")]
    options = SampleOptions(crop=48, reference_crop=64, token_dropout=0.7)
    first = SampleDrawer(clips, options, seed).draw(index)
    again = SampleDrawer(clips, options, seed).draw(index)
    other = SampleDrawer(clips, options, seed).draw(index + 1)
    assert first.clip is not None
    assert again.clip is not None
    assert torch.equal(first.clip, again.clip)
    assert torch.equal(first.origin, again.origin)
    assert (first.token_dropout, first.seed) == (again.token_dropout, again.seed)
    assert first.seed != other.seed


@settings(max_examples=30, deadline=None)
@given(index=st.integers(0, 10_000), frames=st.integers(1, 5))
def test_consecutive_frames_hold_their_reference(index: int, frames: int) -> None:
    options = SampleOptions(
        clips=2, frames=frames, crop=48, reference_crop=48, consecutive=True,
        unrelated=0, missing=0, degraded_reference=0, relit_reference=0,
    )  # fmt: skip
    batch = SampleDrawer([coordinate_clip(64, 64, "a")], options).draw(index)
    assert batch.reference is not None
    times = pixels(batch.target[:, 2, :, 0, 0])
    assert torch.equal(times.diff(dim=1), torch.ones(2, frames - 1))
    matches = (batch.target == batch.reference[:, :, None]).flatten(3).all(3).all(1)
    assert (matches.sum(1) == 1).all(), "exactly one frame is the reference"
    assert not batch.origin.any()


def test_the_reference_is_any_frame_or_the_first() -> None:
    def positions(reference_frame: Literal["random", "first"]) -> set[int]:
        options = SampleOptions(
            clips=1, frames=5, crop=48, reference_crop=48, consecutive=True, unrelated=0, missing=0,
            degraded_reference=0, relit_reference=0, reference_frame=reference_frame,
        )  # fmt: skip
        drawer = SampleDrawer([coordinate_clip(48, 48, "a", 9)], options)
        found = set()
        for index in range(60):
            batch = drawer.draw(index)
            assert batch.reference is not None
            same = (batch.target[0] == batch.reference[0, :, None]).flatten(2).all(2).all(0)
            found.add(int(same.nonzero()[0]))
        return found

    assert positions("random") == {0, 1, 2, 3, 4}
    assert positions("first") == {0}


def facts_of(frames: np.ndarray) -> torch.Tensor:
    """(T, 3): mean colours."""
    return torch.from_numpy(frames.mean((1, 2))).float()


def test_whole_frames_are_described_not_crops() -> None:
    clip = coordinate_clip(96, 160, "a", 5)
    options = SampleOptions(clips=2, frames=3, crop=48, reference_crop=64, undegraded=1)
    batch = SampleDrawer([clip], options, describe=facts_of).draw(0)
    assert batch.condition is not None
    assert batch.condition.shape == (2, 3, 3)
    assert (batch.condition[..., 0] == 47.5).all(), "the mean of all 96 rows"
    assert SampleDrawer([clip], options).draw(0).condition is None


def test_without_degraded_versions_the_clip_is_its_own_target() -> None:
    clip = TrainingClip("a", coordinate_clip(64, 64, "a").clean, ())
    batch = SampleDrawer([clip], SampleOptions(crop=48, reference_crop=48)).draw(0)
    assert batch.clip is not None
    assert torch.equal(batch.clip, batch.target)


def test_clips_too_small_or_short_are_left_out() -> None:
    clips = [coordinate_clip(40, 96, "a"), coordinate_clip(64, 64, "b")]
    drawer = SampleDrawer(clips, SampleOptions(crop=48))
    assert [[clip.source for clip in group] for group in drawer.clips.groups] == [["b"]]
    long = SampleOptions(crop=48, frames=9, consecutive=True)
    assert SampleDrawer(clips, long).clips.groups == []


@pytest.mark.parametrize("frames", [1, 2])
def test_very_short_clips_repeat_their_frames(frames: int) -> None:
    drawer = SampleDrawer(
        [coordinate_clip(64, 64, "a", frames)], SampleOptions(crop=48, reference_crop=64, frames=3)
    )
    assert drawer.draw(0).target.shape[2] == 3


@pytest.mark.parametrize(
    "options",
    [
        {"crop": 50},
        {"crop": 128, "reference_crop": 64},
        {"frames": 0},
        {"missing": 1.5},
        {"token_dropout": -0.1},
    ],
    ids=str,
)
def test_impossible_samples(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        SampleOptions(**options)


def test_read_only_frames_become_tensors_of_their_own() -> None:
    """Frames of a cached clip are memory-mapped, and whole ones are not copied by slicing."""
    frame = np.full((8, 8, 3), 255, np.uint8)
    frame.setflags(write=False)
    tensor = to_unit(frame)
    tensor.zero_()
    assert frame.min() == 255
