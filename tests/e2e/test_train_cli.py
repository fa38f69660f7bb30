"""`refvid train` as a user runs it: killed, interrupted, resumed, exported."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from refvid.training.checkpoint import find_checkpoints, read_progress
from refvid.training.degradations import write_h264
from tests import program
from tests.program import Program

CONFIG = """
[network]
width = 8
wide = 8
depths = [1, 1, 1]
condition_width = 8
kernels = 2
[data]
variants = 1
made = 0
workers = 0
[samples]
clips = 1
frames = 1
crop = 32
reference_crop = 32
[run]
steps = 12
log_steps = 1
valid_steps = 1000
valid_batches = 1
picture_steps = 0
precision = "fp32"
device = "cpu"
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent differently on Windows")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips, a broken one, and a config file."""
    folder = tmp_path_factory.mktemp("train")
    (folder / "videos").mkdir()
    for name in ("one", "two"):
        pixels = np.random.default_rng(len(name)).integers(0, 256, (4, 48, 64, 3)).astype(np.uint8)
        write_h264(pixels, folder / "videos" / f"{name}.mp4", crf=10)
    (folder / "videos" / "broken.mp4").write_bytes(b"nothing")
    (folder / "run.toml").write_text(CONFIG, encoding="utf-8")
    return folder


def run(*words: object) -> tuple[int, str, str]:
    done = program.run_in_words("train", *words)
    return done.returncode, done.stdout, done.stderr


def losses(output: Path) -> dict[int, float]:
    text = (output / "metrics.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """The run that nothing happened to; its output is told."""
    output = folder / "whole"
    code, out, err = run(folder / "videos", "-o", output, "--config", folder / "run.toml", "--json")
    assert code == 0, err
    assert "1 of 3 training files could not be read" in err
    assert "broken.mp4" in err
    report = json.loads(out)
    assert report["steps"] == 12
    assert report["finished"] is True
    assert Path(report["weights"]).exists()
    return output


def wait_for_steps(process: Program, output: Path, steps: int) -> None:
    for _ in range(3000):
        assert process.returncode is None, process.communicate()[1]
        try:
            if losses(output) and max(losses(output)) >= steps:
                return
        except (OSError, ValueError):
            pass  # not there yet, or half a line
        time.sleep(0.01)
    raise AssertionError("it never came so far")


def test_a_killed_run_loses_what_came_after_the_last_checkpoint(
    folder: Path, whole: Path, tmp_path: Path
) -> None:
    """With a checkpoint after every step, that is the step under way at most."""
    output = tmp_path / "run"
    words = (
        folder / "videos",
        "-o",
        output,
        "--config",
        folder / "run.toml",
        "--set",
        "run.checkpoint_minutes=0",
        "--set",
        f"data.cache={whole / 'cache'}",
    )
    with Program("train", *words) as process:
        wait_for_steps(process, output, 3)
        time.sleep(random.random() * 0.05)
        process.send_signal(signal.SIGKILL)
    reached = max(losses(output))
    kept = read_progress(find_checkpoints(output)[-1]).step
    assert reached - 2 <= kept <= reached + 1
    code, out, err = run(*words, "--resume")
    assert code == 0, err
    assert out.strip() == str(output / "mini.safetensors")
    assert losses(output) == losses(whole)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_saves(
    folder: Path, whole: Path, tmp_path: Path, number: int, exit_code: int
) -> None:
    output = tmp_path / "run"
    words = (
        folder / "videos",
        "-o",
        output,
        "--config",
        folder / "run.toml",
        "--set",
        "run.steps=100000",
        "--set",
        f"data.cache={whole / 'cache'}",
    )
    with Program("train", *words) as process:
        wait_for_steps(process, output, 2)
        process.send_signal(number)
        out, err = (said.decode() for said in process.communicate())
    assert process.returncode == exit_code
    assert "--resume goes on from there" in err
    assert out.strip() == str(output / "mini.safetensors")
    kept = read_progress(find_checkpoints(output)[-1]).step
    assert kept == max(losses(output))


def test_resume_needs_nothing_but_the_folder(folder: Path, whole: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    words = (folder / "videos", "-o", output, "--config", folder / "run.toml")
    code, _, err = run(*words, "--max-minutes", "0.00001", "--seed", "0")
    assert code == 0, err
    assert "stopped at step" in err
    code, _, err = run("-o", output, "--resume")
    assert code == 0, err
    assert losses(output) == losses(whole)


def test_exported_weights_enhance_a_video(folder: Path, whole: Path, tmp_path: Path) -> None:
    weights = tmp_path / "mine.safetensors"
    code, out, err = run("--export", whole, "-o", weights)
    assert (code, out.strip()) == (0, str(weights)), err
    expected = load_file(whole / "mini.safetensors")
    assert all(torch.equal(value, expected[name]) for name, value in load_file(weights).items())
    assert run("--export", whole, "-o", weights)[0] == 4, "it exists"
    enhanced = tmp_path / "out.mp4"
    words = (folder / "videos" / "one.mp4", "--ref", "frame:0", "--model", weights)
    done = program.run("enhance", *words, "-o", enhanced)
    assert (done.returncode, enhanced.exists()) == (0, True), done.stderr


@pytest.mark.slow
def test_two_processes_train_as_one(folder: Path, whole: Path, tmp_path: Path) -> None:
    """Each draws every second batch; gradients, stops and checkpoints are shared."""
    output = tmp_path / "run"
    command: list[Any] = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", 2,
        "-m", "refvid", "train", folder / "videos", "-o", output, "--config", folder / "run.toml",
        "--set", f"data.cache={whole / 'cache'}", "--json",
    ]  # fmt: skip
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 12
    assert read_progress(find_checkpoints(output)[-1]).position == 24
    assert len(losses(output)) == 12
    single = tmp_path / "single"
    words = ("--set", "run.accumulate=2", "--set", f"data.cache={whole / 'cache'}")
    config = ("--config", folder / "run.toml")
    assert run(folder / "videos", "-o", single, *config, *words)[0] == 0
    for step, loss in losses(single).items():
        assert losses(output)[step] == pytest.approx(loss, rel=1e-3), step
