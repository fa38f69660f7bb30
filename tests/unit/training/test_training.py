"""A tiny run learns, goes on where it stopped, and its weights load."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from refvid.checkpoints.load import load_backbone
from refvid.errors import InputError, OutputError
from refvid.models.mini.config import MiniConfig
from refvid.training.clips import ClipCacheOptions, build_cache, load_cache
from refvid.training.degradations import write_h264
from refvid.training.loop import LoopOptions, StepReport, Trainer, seeded
from refvid.training.samples import SampleDrawer, SampleOptions
from refvid.workflows.train import TrainOptions, train

SMALL = MiniConfig(descriptor_width=8, context_channels=4, widths=(8, 8, 8), depths=(1, 1, 1, 1, 1))
SAMPLES = SampleOptions(clips=2, frames=2, crop=48, reference_crop=64)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short videos, one photograph, and a broken file."""
    from refvid.workflows.demo import sample_clip

    folder = tmp_path_factory.mktemp("media")
    (folder / "videos").mkdir()
    (folder / "images").mkdir()
    clip = sample_clip()
    write_h264(clip[:6, :128, :192], folder / "videos" / "one_a.mp4", crf=10)
    write_h264(clip[:6, 128:256, 64:256], folder / "videos" / "two_a.mp4", crf=10)
    (folder / "videos" / "broken_a.mp4").write_bytes(b"no video at all")
    Image.fromarray(clip[0]).save(folder / "images" / "photo_x.png")
    return folder


@pytest.fixture(scope="module")
def cache(media: Path) -> Path:
    options = ClipCacheOptions(
        videos=media / "videos",
        images=media / "images",
        cache=media / "cache",
        variants=2,
        photo_frames=4,
        photo_size=(192, 128),
    )
    assert [done for done, _ in build_cache(options)] == [1, 2, 3, 4]
    return options.cache


def make_trainer(
    cache: Path, output: Path, seed: int = 0, samples: SampleOptions = SAMPLES
) -> Trainer:
    drawer = SampleDrawer(load_cache(cache), samples, seeded(seed))
    options = LoopOptions(
        output=output, minutes=100, learning_rate=4e-3, warmup_steps=5, bf16=False
    )
    return Trainer(SMALL, drawer, options)


def run_steps(trainer: Trainer, steps: int) -> list[float]:
    """Steps as `run` makes them, but with a clock that every machine shares."""
    losses = []
    for _ in range(steps):
        losses.append(trainer._train_step())
        trainer.seconds += 1.0
    return losses


def test_the_cache_skips_broken_files_and_keeps_the_rest(
    media: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = load_cache(cache)
    assert sorted(clip.source for clip in clips) == ["one", "photo", "two"]
    for clip in clips:
        assert clip.clean.shape == clip.degraded[0].shape
        assert len(clip.degraded) == 2
        assert not np.array_equal(clip.clean, clip.degraded[0])
    written = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    options = ClipCacheOptions(
        videos=media / "videos", images=media / "images", cache=cache,
        variants=2, photo_frames=4, photo_size=(192, 128),
    )  # fmt: skip
    list(build_cache(options))
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == written
    assert "1 of 4 training files could not be read" in caplog.text


def test_training_lowers_the_loss(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On samples that it sees again and again; in general it takes hundreds of steps."""
    helpful = replace(SAMPLES, unrelated=0, missing=0, undegraded=0, degraded_reference=0)
    trainer = make_trainer(cache, tmp_path, samples=helpful)
    batch = trainer.drawer.draw()
    monkeypatch.setattr(trainer.drawer, "draw", lambda: batch)
    losses = run_steps(trainer, 80)
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10]), f"{losses[0]} -> {losses[-1]}"


def test_resuming_gives_the_same_losses(cache: Path, tmp_path: Path) -> None:
    straight = make_trainer(cache, tmp_path / "a")
    expected = run_steps(straight, 8)

    first = make_trainer(cache, tmp_path / "b")
    losses = run_steps(first, 4)
    first.save()
    second = make_trainer(cache, tmp_path / "b", seed=99)
    second.load(tmp_path / "b" / "state.pt")
    losses += run_steps(second, 4)
    assert losses == expected
    for one, other in zip(straight.ema.parameters(), second.ema.parameters(), strict=True):
        assert torch.equal(one, other)


def test_exported_weights_load_as_a_model(cache: Path, tmp_path: Path) -> None:
    trainer = make_trainer(cache, tmp_path)
    run_steps(trainer, 2)
    trainer.save()
    backbone = load_backbone(tmp_path / "mini.safetensors", torch.device("cpu"), torch.float32)
    frame = torch.zeros(1, 3, 1, 32, 32)
    assert backbone.decode(backbone.encode(frame).latents).clip.shape == frame.shape


def test_stopping_saves(cache: Path, tmp_path: Path) -> None:
    trainer = make_trainer(cache, tmp_path)
    reports = trainer.run()
    report = next(reports)
    assert isinstance(report, StepReport)
    reports.close()
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == trainer.step == 20


def test_the_command_trains_and_refuses_to_overwrite(media: Path, tmp_path: Path) -> None:
    options = TrainOptions(
        videos=media / "videos",
        output=tmp_path,
        minutes=0.05,
        samples=SAMPLES,
        config=SMALL,
    )
    report = train(options, lambda progress: None)
    assert report.steps > 0
    assert report.weights.exists()
    with pytest.raises(OutputError, match="--resume"):
        train(options, lambda progress: None)


def test_the_command_needs_clips(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        train(TrainOptions(videos=tmp_path / "none", output=tmp_path), lambda progress: None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no clip"):
        train(
            TrainOptions(videos=tmp_path / "empty", output=tmp_path / "out"),
            lambda progress: None,
        )
