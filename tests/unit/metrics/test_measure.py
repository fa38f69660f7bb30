"""`measure` around its measures: alignment, networks that are asked once, threads that end."""

from __future__ import annotations

import math
import threading
from array import array
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from refvid.errors import CheckpointUnavailable, InputError, OptionError
from refvid.media import reader
from refvid.media.video_info import VideoInfo, read_video_info
from refvid.metrics import options as metrics_options
from refvid.metrics import tensor_meters as metrics_measures
from refvid.metrics.catalog import MEASURES
from refvid.metrics.frames import AlignedVideos, FramePair
from refvid.metrics.measure import ClipMeasures, Source, measure
from refvid.metrics.meters import load_meters
from refvid.metrics.options import (
    MetricsOptions,
    available_measures,
    missing_packages,
    parse_measures,
)
from refvid.metrics.perceptual import Lpips, lpips_distance
from refvid.progress import Progress, ignore_progress


class CountingLpips(torch.nn.Module):
    """Has the parts of `lpips.LPIPS` that refvid uses; counts the pictures it looks at."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scaling_layer = torch.nn.Identity()
        self.layer = torch.nn.Conv2d(3, 8, 5, stride=2, padding=2)
        linear = torch.nn.Conv2d(8, 1, 1, bias=False)
        torch.nn.init.ones_(linear.weight)
        self.lins = torch.nn.ModuleList([linear])
        self.looked_at = 0

    def net(self, clip: torch.Tensor) -> tuple[torch.Tensor]:
        self.looked_at += len(clip)
        return (self.layer(clip).relu(),)


class FakeClip:
    """Embeds a picture as its mean colour."""

    def __init__(self) -> None:
        self.looked_at = 0

    def embed(self, picture: np.ndarray) -> torch.Tensor:
        assert picture.dtype == np.uint8
        self.looked_at += 1
        mean = torch.tensor(picture.mean((0, 1)), dtype=torch.float32)
        return torch.nn.functional.normalize(mean, dim=0)


@pytest.fixture
def networks(monkeypatch) -> tuple[CountingLpips, FakeClip]:
    """Networks in place of the real ones, as if their packages were installed."""
    lpips, clip = CountingLpips(), FakeClip()
    monkeypatch.setattr(metrics_measures, "load_lpips", lambda device: Lpips(lpips, device))
    monkeypatch.setattr(metrics_measures, "load_st_lpips", lambda device: Lpips(lpips, device))
    monkeypatch.setattr(metrics_measures, "load_clip", lambda _device: clip)
    monkeypatch.setattr(metrics_options, "find_spec", lambda _name: object())
    return lpips, clip


def pairs_of(count: int, seed: int = 0) -> list[FramePair]:
    rng = np.random.default_rng(seed)
    clean = rng.integers(0, 256, (count, 40, 48, 3), dtype=np.uint8)
    noisy = np.clip(clean + rng.normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
    return [FramePair(t, Fraction(t), (noisy[t], clean[t]), None) for t in range(count)]


def test_networks_look_once_at_every_frame(networks) -> None:
    lpips, clip = networks
    meters = load_meters(("lpips", "temporal_lpips", "clip_consistency"), "cpu")
    network = Lpips(lpips, torch.device("cpu"))
    for seed in (0, 1):  # two clips, one after the other
        pairs = pairs_of(4, seed)
        before = None
        lpips.looked_at = clip.looked_at = 0
        rows = []
        for pair in pairs:
            rows.append({name: meter(pair, before) for name, meter in meters.items()})
            before = pair
        assert (lpips.looked_at, clip.looked_at) == (8, 4)
        assert rows[0]["temporal_lpips"] is rows[0]["clip_consistency"] is None
        for index, row in enumerate(rows):
            now = pairs[index]
            assert row["lpips"] == pytest.approx(lpips_distance(network, now.distorted, now.clean))
            if index:
                then = pairs[index - 1]
                changed = lpips_distance(network, now.distorted, then.distorted)
                expected = abs(changed - lpips_distance(network, now.clean, then.clean))
                assert row["temporal_lpips"] == pytest.approx(expected)
                assert 0.9 < (row["clip_consistency"] or 0) <= 1.000001


def test_measure_with_networks(networks, make_video) -> None:
    clean, poor = make_video(4, "a.mp4"), make_video(4, "b.mp4", options={"crf": "40"})
    options = MetricsOptions(
        distorted=(poor, clean),
        reference=clean,
        measures=("lpips", "temporal_lpips", "st_lpips", "clip_consistency"),
        device="cpu",
    )
    report = measure(options, ignore_progress)
    poor_means, same_means = (clip.summary() for clip in report.clips)
    assert (poor_means["lpips"] or 0) > 0
    assert poor_means["st_lpips"] == pytest.approx(poor_means["lpips"])
    assert same_means["lpips"] == same_means["temporal_lpips"] == 0
    assert all(math.isnan(clip.values["clip_consistency"][0]) for clip in report.clips)


def test_frames_too_small_for_a_measure(make_video, caplog) -> None:
    """A whole run does not fail for one of all measures."""
    clean = make_video(2)
    words: dict[str, Any] = {
        "distorted": (clean,), "reference": clean, "measures": ("psnr", "ms_ssim")
    }  # fmt: skip
    with pytest.raises(InputError, match="too small for MS-SSIM"):
        measure(MetricsOptions(**words), ignore_progress)
    report = measure(MetricsOptions(**words, only_available=True), ignore_progress)
    assert report.measures == ("psnr",)
    assert "MS-SSIM is left out: the frames are too small" in caplog.text


def test_weights_that_are_not_there(networks, make_video, monkeypatch, caplog) -> None:
    def offline(_device: object) -> None:
        raise CheckpointUnavailable("no network")

    monkeypatch.setattr(metrics_measures, "load_lpips", offline)
    clean = make_video(2)
    words: dict[str, Any] = {
        "distorted": (clean,), "reference": clean, "measures": ("lpips", "clip_consistency")
    }  # fmt: skip
    with pytest.raises(CheckpointUnavailable):
        measure(MetricsOptions(**words), ignore_progress)
    report = measure(MetricsOptions(**words, only_available=True), ignore_progress)
    assert report.measures == ("clip_consistency",)
    assert list(report.clips[0].values) == ["clip_consistency"]
    assert "no network" in caplog.text


def test_missing_packages_are_named(monkeypatch) -> None:
    monkeypatch.setattr(metrics_options, "find_spec", lambda _name: None)
    words: dict[str, Any] = {"distorted": (Path("a"),), "reference": Path("b")}
    with pytest.raises(OptionError, match=r"lpips and torchvision.*pip install lpips torchvision$"):
        MetricsOptions(**words, measures=("lpips",))
    with pytest.raises(OptionError, match=r"ST-LPIPS needs .*Run: pip install stlpips-pytorch$"):
        MetricsOptions(**words, measures=("st_lpips",))
    assert missing_packages(MEASURES["clip_consistency"]) == ("transformers",)
    assert available_measures() == tuple(n for n, m in MEASURES.items() if not m.packages)


def test_masks_exclude_measures_of_whole_frames(monkeypatch) -> None:
    monkeypatch.setattr(metrics_options, "find_spec", lambda _name: object())
    with pytest.raises(OptionError, match="CLIP"):
        MetricsOptions(
            distorted=(Path("a"),),
            reference=Path("b"),
            measures=("clip_consistency",),
            mask=Path("m.png"),
        )
    assert "clip_consistency" in available_measures()
    assert "clip_consistency" not in available_measures(masked=True)


def test_words_for_measures() -> None:
    assert parse_measures(["st-lpips"]) == parse_measures(["ST_LPIPS"]) == ("st_lpips",)
    assert parse_measures([" SSIM", "ms-ssim ", "psnr", "psnr"]) == ("psnr", "ssim", "ms_ssim")
    with pytest.raises(OptionError, match="vmaf"):
        parse_measures(["psnr", "vmaf"])


def test_progress_covers_all_clips(make_video) -> None:
    clip = make_video(5)
    seen: list[Progress] = []
    options = MetricsOptions(distorted=(clip, clip), reference=clip, measures=("psnr",))
    measure(options, seen.append)
    assert [progress.done for progress in seen] == list(range(1, 11))
    assert {progress.total for progress in seen} == {10}


def test_what_is_known_of_a_file_is_not_looked_up_again(make_video, monkeypatch) -> None:
    looked_at: list[Path] = []

    def look(path: Path, **options: Any) -> VideoInfo:
        looked_at.append(path)
        return read_video_info(path, **options)

    monkeypatch.setattr(reader, "read_video_info", look)
    clean, one, other = (make_video(3, name) for name in ("clean.mp4", "one.mp4", "other.mp4"))
    options = MetricsOptions(distorted=(one, other), reference=clean, measures=("psnr",))
    measure(options, ignore_progress)
    assert sorted(looked_at) == [clean, one, other]


def test_one_frame_has_no_neighbours(make_video) -> None:
    clip = make_video(3)
    options = MetricsOptions(distorted=(clip,), reference=clip, measures=("flicker",), frames=1)
    with pytest.raises(InputError, match="only one"):
        measure(options, ignore_progress)


def test_threads_end_with_an_error(make_video) -> None:
    clip = make_video(30)

    def stop(_progress: Progress) -> None:
        assert sum(thread.name == "reader" for thread in threading.enumerate()) == 2
        raise KeyboardInterrupt

    options = MetricsOptions(distorted=(clip,), reference=clip, measures=("psnr",))
    with pytest.raises(KeyboardInterrupt) as caught:
        measure(options, stop)
    # The traceback, which keeps the loop's variables alive, is still there.
    assert caught.tb is not None
    assert not any(thread.name == "reader" for thread in threading.enumerate())


def test_frames_ahead_are_few(make_video, monkeypatch) -> None:
    """However slow the measures, threads do not fill the memory."""
    from refvid.media.reader import VideoReader

    made: list[int] = []
    original = VideoReader._frame

    def count(self, picture):
        made.append(picture.index)
        return original(self, picture)

    monkeypatch.setattr(VideoReader, "_frame", count)
    clip = make_video(60)
    with AlignedVideos(clip, clip) as videos:
        for pair in videos:
            if pair.index == 20:
                threading.Event().wait(0.3)  # time enough to run ahead
                break
            # A frame in hand, the queue, and one that waits to be put there.
            assert max(made) <= pair.index + 4
        assert max(made) <= 24


def clip_of(**columns: list[float]) -> ClipMeasures:
    source = Source(
        path=Path("x.mp4"), matrix="bt709", range="limited", bit_depth=8, is_tagged=True
    )
    count = len(next(iter(columns.values())))
    return ClipMeasures(
        source=source,
        aligned_by="time",
        times=array("d", range(count)),
        values={name: array("d", column) for name, column in columns.items()},
    )


def test_summaries() -> None:
    clip = clip_of(psnr=[20, 30, math.nan], ssim=[math.nan, 0.5, 0.7], flicker=[math.nan] * 3)
    summary = clip.summary()
    assert summary["psnr"] == 25
    assert summary["psnr_of_mean_mse"] == pytest.approx(-10 * math.log10((0.01 + 0.001) / 2))
    assert summary["ssim"] == pytest.approx(0.6)
    assert summary["flicker"] is None
    assert [row["psnr"] for row in clip.rows()] == [20, 30, None]


def test_infinity_in_json() -> None:
    import json

    document = clip_of(psnr=[math.inf, 40]).to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["summary"]["psnr"] == "inf"
    assert document["summary"]["psnr_of_mean_mse"] == pytest.approx(40 + 10 * math.log10(2))
    assert [row["psnr"] for row in document["per_frame"]] == ["inf", 40]
