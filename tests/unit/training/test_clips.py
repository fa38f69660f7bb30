"""The cache of decoded crops."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from refvid.errors import OutputError
from refvid.training.clips import ClipCacheOptions, build_cache, load_cache
from refvid.training.made import MADE_KINDS, PHOTO_KINDS


@pytest.fixture
def options(media: Path, tmp_path: Path) -> ClipCacheOptions:
    return ClipCacheOptions(
        videos=media / "videos",
        images=media / "images",
        cache=tmp_path / "cache",
        variants=2,
        photo_frames=4,
        photo_size=(192, 128),
    )


def test_broken_files_are_skipped_and_counted(
    options: ClipCacheOptions, caplog: pytest.LogCaptureFixture
) -> None:
    assert [done for done, _ in build_cache(options)] == [1, 2, 3, 4, 5, 6, 7]
    clips = load_cache(options)
    assert sorted(clip.source for clip in clips) == ["four", "one", "photo", "three", "two"]
    for entry in clips:
        clip = entry.open()
        assert clip.shape == entry.shape
        assert len(clip.degraded) == 2
        assert clip.clean.shape == clip.degraded[0].shape
        assert not np.array_equal(clip.clean, clip.degraded[0])
    assert "2 of 7 training files could not be read" in caplog.text


def test_lists_of_other_files_are_not_followed(
    options: ClipCacheOptions, media: Path, tmp_path: Path
) -> None:
    videos = tmp_path / "lists"
    videos.mkdir()
    shutil.copy(media / "videos" / "one_a.mp4", videos / "one.mp4")
    text = "ffconcat version 1.0\nfile one.mp4\n"
    (videos / "list.mp4").write_text(text, encoding="ascii")
    options = replace(options, videos=videos, images=None)
    list(build_cache(options))
    assert [clip.source for clip in load_cache(options)] == ["one"]


def test_clips_are_made_once(options: ClipCacheOptions) -> None:
    list(build_cache(options))
    written = {path: path.stat().st_mtime_ns for path in options.cache.iterdir()}
    list(build_cache(options))
    assert {path: path.stat().st_mtime_ns for path in options.cache.iterdir()} == written


def test_worker_processes_make_the_same_clips(options: ClipCacheOptions, tmp_path: Path) -> None:
    pooled = replace(options, cache=tmp_path / "pooled", workers=2)
    assert len(list(build_cache(options))) == len(list(build_cache(pooled)))
    pairs = list(zip(load_cache(options), load_cache(pooled), strict=True))
    assert len(pairs) == 5
    for one, other in pairs:
        assert np.array_equal(one.open().clean, other.open().clean)
        assert np.array_equal(one.open().degraded[1], other.open().degraded[1])


def test_processes_share_the_work(options: ClipCacheOptions) -> None:
    parts = [len(list(build_cache(options, part, 2))) for part in range(2)]
    assert parts == [4, 3]
    assert len(load_cache(options)) == 5


def test_excerpts_follow_each_other(options: ClipCacheOptions) -> None:
    whole = replace(options, images=None, variants=0)
    cut = replace(whole, max_frames=2, excerpts=9, cache=whole.cache / "cut")
    list(build_cache(whole))
    list(build_cache(cut))
    clips = [clip.open().clean for clip in load_cache(cut) if clip.source == "one"]
    assert [len(clip) for clip in clips] == [2, 2, 2]
    (expected,) = [clip.open().clean for clip in load_cache(whole) if clip.source == "one"]
    assert np.array_equal(np.concatenate(clips), expected)


def test_size_and_rate_can_be_lowered(options: ClipCacheOptions) -> None:
    small = replace(options, images=None, variants=0, short_side=64, frame_step=2)
    list(build_cache(small))
    assert {clip.shape for clip in load_cache(small)} == {(3, 64, 96)}


def test_clips_are_made_by_code_of_all_kinds_in_turn(options: ClipCacheOptions) -> None:
    with_made = replace(options, videos=None, made=len(MADE_KINDS) + 1, variants=1)
    assert len(list(build_cache(with_made))) == 2 + len(MADE_KINDS) + 1
    clips = [clip for clip in load_cache(with_made) if clip.source.startswith("made:")]
    assert [c.source for c in clips] == [f"made:{kind}" for kind in (*MADE_KINDS, MADE_KINDS[0])]
    assert {clip.shape for clip in clips} == {(4, 128, 192)}
    assert clips[-1].record != clips[0].record
    assert len(load_cache(replace(with_made, made=0))) == 1, "the others stay as they are"
    assert len(load_cache(replace(with_made, images=None))) == len(MADE_KINDS) + 1 - len(
        PHOTO_KINDS
    ), "what shows a photograph is another clip without one"


def test_made_clips_come_nearly_clean_too(options: ClipCacheOptions) -> None:
    made = replace(options, videos=None, images=None, made=len(MADE_KINDS), variants=4)
    list(build_cache(made))
    for entry in load_cache(made):
        clip = entry.open()
        losses = [float(np.mean((d.astype(float) - clip.clean) ** 2)) for d in clip.degraded]
        # H.264 takes half of the colours' resolution whatever its quality.
        assert np.mean(losses[:2]) <= np.mean(losses[2:]), entry.source


def test_made_clips_need_no_pictures(options: ClipCacheOptions) -> None:
    alone = replace(options, videos=None, images=None, made=len(MADE_KINDS), variants=0)
    list(build_cache(alone))
    assert len(load_cache(alone)) == len(MADE_KINDS)


def test_other_options_never_take_stale_clips(options: ClipCacheOptions) -> None:
    list(build_cache(options))
    assert load_cache(replace(options, max_frames=3)) == []


def test_a_cache_that_cannot_be_written_is_no_broken_clip(
    options: ClipCacheOptions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OutputError, match="No space left"):
        list(build_cache(options))
    assert logging.WARNING not in {
        record.levelno for record in caplog.records if "one_a" in record.message
    }
