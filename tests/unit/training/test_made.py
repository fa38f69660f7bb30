"""Clips made by code."""

import random

import numpy as np
import pytest
from PIL import Image

from refvid.training.degradations import Degradation, degrade
from refvid.training.made import MADE_KINDS, PHOTO_KINDS, make_clip
from tests.unit.training.conftest import textured_picture

SIZE = (128, 96)


def clip_of(kind: str, seed: int = 0, frames: int = 4, photo: Image.Image | None = None):
    return make_clip(kind, random.Random(f"{kind}:{seed}"), SIZE, frames, photo)


@pytest.mark.parametrize("kind", MADE_KINDS)
def test_every_kind_is_a_clip_and_its_seed_decides(kind: str) -> None:
    clips = [clip_of(kind, seed) for seed in range(6)]
    assert {(clip.shape, clip.dtype.name) for clip in clips} == {((4, 96, 128, 3), "uint8")}
    assert np.array_equal(clips[1], clip_of(kind, 1))
    # Two plain ones may both be white.
    assert len({clip.tobytes() for clip in clips}) >= 3


@pytest.mark.parametrize("kind", MADE_KINDS)
def test_every_kind_can_be_degraded(kind: str) -> None:
    clip = clip_of(kind, frames=2)
    assert degrade(clip, Degradation(crf=28, scale=2.0)).shape == clip.shape


@pytest.mark.parametrize("kind", PHOTO_KINDS)
def test_a_photograph_is_shown_where_there_is_one(kind: str) -> None:
    photo = Image.fromarray(textured_picture(160, 200, 3))
    assert not np.array_equal(clip_of(kind), clip_of(kind, photo=photo))


@pytest.mark.parametrize("kind", ["letterbox", "pillarbox"])
def test_bars_are_black_and_what_they_frame_moves(kind: str) -> None:
    for seed in range(3):
        clip = clip_of(kind, seed)
        bars = (
            (clip[:, :7], clip[:, -7:])
            if kind == "letterbox"
            else (clip[..., :10, :], clip[..., -10:, :])
        )
        assert max(bar.max() for bar in bars) == 0
        assert clip[:, 40:56, 50:78].std() > 1
        assert not np.array_equal(clip[0], clip[-1])


def test_light_is_what_the_names_say() -> None:
    for seed in range(4):
        assert clip_of("dark", seed).mean() < 0.15 * 255
        assert clip_of("stars", seed).mean() < 40
        assert np.median(clip_of("snow", seed)) > 190
        ground = clip_of("plain", seed)[0].astype(int)
        assert np.abs(np.diff(ground, axis=1)).max() <= 3, "no edges"


def test_text_can_be_read() -> None:
    for kind in ("title", "screen", "subtitles"):
        contrasts = [np.ptp(clip_of(kind, seed)[0].astype(int).mean(-1)) for seed in range(4)]
        assert max(contrasts) > 150, kind


def test_grain_differs_from_frame_to_frame() -> None:
    clip = make_clip(
        "grain", random.Random(1), SIZE, 3, Image.new("RGB", (160, 120), (128, 128, 128))
    ).astype(float)
    assert all(frame.std() > 2 for frame in clip)
    both = np.corrcoef((clip[0] - clip[0].mean()).ravel(), (clip[1] - clip[1].mean()).ravel())
    assert abs(both[0, 1]) < 0.1


def test_fades_change_the_light() -> None:
    clips = [clip_of("faded", seed).astype(float) for seed in range(8)]
    changes = [abs(clip[-1].std() - clip[0].std()) for clip in clips]
    assert max(changes) > 5
    assert min(clip.std(axis=(1, 2, 3)).min() for clip in clips) < 25


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="'cats' is none of plain, title"):
        make_clip("cats", random.Random(0), SIZE, 2)
    with pytest.raises(ValueError, match="even sides of at least 64 pixels, not 127x96"):
        make_clip("plain", random.Random(0), (127, 96), 2)
