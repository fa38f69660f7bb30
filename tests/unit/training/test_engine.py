"""A run learns, stops, goes on, and is the same run whatever happens to it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from refvid.checkpoints.load import load_backbone
from refvid.errors import CheckpointMismatch, InputError, OptionError, OutputError
from refvid.progress import Progress, ignore_progress
from refvid.training.averaging import WeightAverage
from refvid.training.checkpoint import (
    AVERAGE_FILE,
    find_checkpoints,
    newest_checkpoint,
    read_progress,
)
from refvid.training.config import TrainConfig
from refvid.training.schedule import rate_factor
from refvid.training.train import TrainReport, train

Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def fresh_accelerate(fresh_accelerate: None) -> None:
    """Every test of this file trains."""


def lines(run: Path) -> list[dict[str, Any]]:
    """The metrics but for the clock."""
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    found = [json.loads(line) for line in text.splitlines()]
    return [{key: value for key, value in line.items() if key != "minutes"} for line in found]


def train_until(config: TrainConfig, step: int, *, resume: bool = False) -> TrainReport:
    """Train, and press Ctrl-C in a step."""
    import signal

    def press(progress: Progress) -> None:
        if progress.done == step:
            signal.raise_signal(signal.SIGINT)

    return train(config, press, resume=resume)


def same_state(one: Path, other: Path) -> bool:
    pairs = [
        (newest_checkpoint(run) / name)
        for name in (AVERAGE_FILE, "model.safetensors")
        for run in (one, other)
    ]
    states = [load_file(path) for path in pairs]
    return all(
        torch.equal(first[key], second[key])
        for first, second in (states[:2], states[2:])
        for key in first
    )


def test_a_resumed_run_is_the_uninterrupted_one(mini_config: Make, tmp_path: Path) -> None:
    """Over a change of stages, with batches that other processes draw, and summed gradients."""
    words = (
        "stages=[{}, {frames = 3}]",
        "run.accumulate=2",
        "samples.token_dropout=0.5",
        "run.log_steps=3",
    )
    straight = mini_config(*words, output=tmp_path / "straight")
    assert train(straight, ignore_progress).finished
    broken = mini_config(*words, "data.workers=1", output=tmp_path / "broken")
    stopped = train_until(broken, 2)
    assert (stopped.steps, stopped.finished, stopped.signal) == (2, False, 2)
    assert stopped.weights.exists()
    assert train_until(broken, 5, resume=True).steps == 5
    assert train(broken, ignore_progress, resume=True).finished
    assert lines(straight.output) == lines(broken.output)
    assert {line["stage"] for line in lines(broken.output) if "stage" in line} == {1, 2}
    assert same_state(straight.output, broken.output)


@pytest.mark.parametrize("config", ["wan_config", "videovae_plus_config"])
def test_the_large_backbones_train_resume_and_load(
    config: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    make: Make = request.getfixturevalue(config)
    straight = make(output=tmp_path / "straight")
    report = train(straight, ignore_progress)
    assert (report.steps, report.finished) == (4, True)
    broken = make(output=tmp_path / "broken")
    train_until(broken, 3)
    train(broken, ignore_progress, resume=True)
    assert lines(straight.output) == lines(broken.output)
    assert same_state(straight.output, broken.output)
    backbone = load_backbone(report.weights, torch.device("cpu"), torch.float32)
    assert backbone.name == straight.backbone
    clip = torch.zeros(1, 3, straight.samples.frames, 32, 32)
    assert backbone.decode(backbone.encode(clip).latents).clip.shape == clip.shape


def test_a_run_of_100_steps_learns_and_resumes(mini_config: Make, tmp_path: Path) -> None:
    words = (
        "run.steps=100", "run.valid_steps=50", "run.checkpoint_minutes=0.005",
        "run.keep_checkpoints=60", "samples.clips=4", "samples.frames=1",
        "samples.unrelated=0", "samples.missing=0", "optimizer.rate=4e-3",
    )  # fmt: skip
    whole = mini_config(*words, output=tmp_path / "whole")
    report = train(whole, ignore_progress)
    valid = [line["valid_loss"] for line in lines(whole.output) if "valid_loss" in line]
    assert len(valid) == 3
    assert report.valid_loss == valid[-1]
    assert valid[-1] < valid[0] - 1, "it is a logarithm"

    # As a machine leaves it that lost power after step 80.
    shutil.copytree(whole.output, tmp_path / "part")
    for checkpoint in find_checkpoints(tmp_path / "part"):
        if read_progress(checkpoint).step > 80:
            shutil.rmtree(checkpoint)
    again = train(mini_config(*words, output=tmp_path / "part"), ignore_progress, resume=True)
    assert again.steps == 100
    assert lines(tmp_path / "part") == lines(whole.output)
    assert same_state(tmp_path / "part", whole.output)


def test_max_minutes_stops_and_leaves_the_plan(mini_config: Make) -> None:
    config = mini_config("run.max_minutes=0.0001")
    first = train(config, ignore_progress)
    assert not first.finished
    assert first.steps < 8
    assert train(mini_config(), ignore_progress, resume=True).finished
    rates = [line["learning_rate"] for line in lines(config.output) if "loss" in line]
    options = config.optimizer
    assert rates == [options.rate * rate_factor(options, step, step / 8) for step in range(8)]


def test_minutes_are_a_plan_too(mini_config: Make) -> None:
    seen: list[Progress] = []
    report = train(mini_config("run.steps=", "run.minutes=0.01"), seen.append)
    assert report.finished
    assert report.steps > 0
    assert all(progress.total == 1 for progress in seen)


def test_learning_rates_of_the_groups(wan_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from refvid.training.engine import Trainer

    rates = []
    original = Trainer._tell

    def tell(self: Trainer, *arguments: Any) -> None:
        rates.append({g["name"]: g["lr"] for g in self.optimizer.param_groups})
        original(self, *arguments)

    monkeypatch.setattr(Trainer, "_tell", tell)
    train(wan_config("optimizer.warmup_steps=0", "run.steps=2"), ignore_progress)
    assert rates[0] == pytest.approx({"attention": 2e-4, "decoder": 2e-5})
    assert rates[1]["decoder"] == pytest.approx(0.1 * rates[1]["attention"])
    assert rates[1]["attention"] < rates[0]["attention"]


def test_weights_of_a_run_load_as_a_model(mini_config: Make) -> None:
    report = train(mini_config("run.steps=2"), ignore_progress)
    backbone = load_backbone(report.weights, torch.device("cpu"), torch.float32)
    frame = torch.zeros(1, 3, 1, 32, 32)
    assert backbone.decode(backbone.encode(frame).latents).clip.shape == frame.shape


def test_pictures_show_what_goes_in_and_what_comes_out(mini_config: Make) -> None:
    from PIL import Image

    config = mini_config("run.picture_steps=1", "run.steps=2")
    train(config, ignore_progress)
    names = sorted(path.name for path in (config.output / "pictures").iterdir())
    assert names == [f"step-{step:08d}.png" for step in range(3)]
    with Image.open(config.output / "pictures" / names[0]) as sheet:
        assert sheet.size == (4 * 48, 2 * 48)


def test_held_out_clips_are_not_learned_from(
    mini_config: Make, monkeypatch: pytest.MonkeyPatch, media: Path
) -> None:
    from refvid.training.aligned_samples import AlignedSampleDrawer
    from refvid.training.recipes import mini

    made = []

    def drawer(clips: Any, *arguments: Any) -> Any:
        made.append({clip.source for clip in clips})
        return AlignedSampleDrawer(clips, *arguments)

    monkeypatch.setattr(mini, "AlignedSampleDrawer", drawer)
    train(mini_config("run.steps=1"), ignore_progress)
    learned, held_out = made
    assert learned
    assert held_out
    assert not learned & held_out


def test_resuming_needs_the_same_network(mini_config: Make) -> None:
    train(mini_config("run.steps=1"), ignore_progress)
    with pytest.raises(CheckpointMismatch, match="width"):
        train(mini_config("network.width=16"), ignore_progress, resume=True)
    with pytest.raises(CheckpointMismatch, match="backbone"):
        train(replace(mini_config(), backbone="wan2.1"), ignore_progress, resume=True)


def test_a_run_is_never_overwritten(mini_config: Make) -> None:
    train(mini_config("run.steps=1"), ignore_progress)
    with pytest.raises(OutputError, match="--resume"):
        train(mini_config(), ignore_progress)


def test_half_written_checkpoints_are_ignored_and_removed(mini_config: Make) -> None:
    config = mini_config("run.steps=2")
    train(config, ignore_progress)
    folder = config.output / "checkpoints"
    (folder / "step-00000003.partial").mkdir()
    (folder / "step-00000004").mkdir()
    assert [path.name for path in find_checkpoints(config.output)] == ["step-00000002"]
    train(mini_config("run.steps=3"), ignore_progress, resume=True)
    assert not (folder / "step-00000003.partial").exists()


def test_what_cannot_be_learned_from(mini_config: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to learn from"):
        train(mini_config("data.videos="), ignore_progress)
    with pytest.raises(InputError, match="no folder"):
        train(mini_config(f"data.images={tmp_path}/none"), ignore_progress)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no clip of at least 48 pixels"):
        train(mini_config(f"data.videos={tmp_path}/empty"), ignore_progress)
    with pytest.raises(OptionError, match="planned length"):
        train(mini_config("run.steps=", "run.minutes="), ignore_progress)


def test_a_missing_package_is_named(mini_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(OptionError, match=r"pip install accelerate pydantic pyyaml$"):
        train(mini_config(), ignore_progress)


def test_tensorboard_is_an_extra(mini_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from refvid.training import engine

    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"pip install tensorboard$"):
        train(mini_config("run.tensorboard=true"), ignore_progress)


def test_averages_follow_the_weights_and_give_them_back() -> None:
    layer = torch.nn.Linear(2, 2)
    average = WeightAverage(layer, 0.9)
    start = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight += 1
    average.update(1000)
    torch.testing.assert_close(average.values["weight"], start + 0.1)
    with average.applied():
        torch.testing.assert_close(layer.weight.detach(), start + 0.1)
    torch.testing.assert_close(layer.weight.detach(), start + 1)
    torch.testing.assert_close(average.values["weight"], start + 0.1)
