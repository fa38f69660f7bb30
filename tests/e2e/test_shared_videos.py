"""Videos that several devices share out at their cuts: real processes, some of which are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from refvid.cli import in_parts
from refvid.cli.remote import WorkerSetup
from refvid.distribution import processes
from refvid.media.work_folder import work_folder_of
from tests.commands import run
from tests.job_lists import frames_of, write_list
from tests.pages import PROJECT
from tests.program import CAN_FORK, Forking
from tests.workers import Dying

posix = pytest.mark.skipif(os.name == "nt", reason="signals are sent differently on Windows")

WORDS = ("--ref", "frame:0", "-c", "ffv1", "--dtype", "fp32", "--model", "mini")


def shots(*lengths: int) -> np.ndarray:
    random = np.random.default_rng(5)
    coarse = [random.integers(0, 256, (1, 6, 8, 3)).astype(np.uint8) for _ in lengths]
    pictures = [one.repeat(8, 1).repeat(8, 2) for one in coarse]
    return np.concatenate(
        [np.repeat(one, length, axis=0) for one, length in zip(pictures, lengths, strict=True)]
    )


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, one_thread) -> None:
    monkeypatch.chdir(tmp_path)
    if CAN_FORK:
        monkeypatch.setattr(processes, "_SPAWN", Forking)


def test_jobs_of_a_list_are_shared_where_there_are_fewer_than_devices(make_video) -> None:
    make_video(shots(30, 30, 30), "long.mp4")
    make_video(shots(20), "short.mp4")
    row = {"ref": "frame:0", "codec": "ffv1", "dtype": "fp32", "model": "mini"}
    rows = [
        {"input": "short.mp4", "output": "a.mkv", **row},
        {"input": "long.mp4", "output": "b.mkv", **row},
        {"input": "short.mp4", "output": "c.safetensors", "command": "encode", "model": "mini"},
    ]
    words = ("batch", write_list(rows), "--device", "cpu:4")
    ended = run(*words, "--progress", "json", "--json")
    assert ended.exit_code == 0, ended.stderr
    results = json.loads(ended.stdout)["results"]
    assert [each["output"] for each in results] == [each["output"] for each in rows]
    assert [each["line"] for each in results] == [2, 3, 4]
    assert results[1]["report"]["cuts"] == [30, 60]
    events = [json.loads(line) for line in ended.stderr.splitlines()]
    starts = {each["job"]: each["device"] for each in events if each["event"] == "start"}
    assert starts == {1: "cpu", 2: "cpu, cpu, cpu, cpu", 3: "cpu"}
    progress = {each["line"] for each in events if each["event"] == "progress"}
    assert 3 in progress
    for name, output in (("short.mp4", "a.mkv"), ("long.mp4", "b.mkv")):
        serial = run("enhance", name, *WORDS, "-o", f"serial_{output}", "--device", "cpu")
        assert serial.exit_code == 0, serial.stderr
        assert frames_of(Path(output)) == frames_of(Path(f"serial_{output}"))


@posix
def test_a_worker_that_dies_in_a_part_is_replaced(make_video, monkeypatch) -> None:
    make_video(shots(30, 30), "clip.mp4")
    Path("die").touch()
    monkeypatch.setattr(
        in_parts,
        "WorkerSetup",
        lambda *args: Dying(WorkerSetup(*args), "refvid.rebuild.parts:_FrameFile.write", False),
    )
    ended = run("enhance", "clip.mp4", *WORDS, "-o", "out.mkv", "--device", "cpu:2")
    assert ended.exit_code == 0, ended.stderr
    assert "SIGKILL" in ended.stderr
    assert "its part begins again" in ended.stderr
    serial = run("enhance", "clip.mp4", *WORDS, "-o", "serial.mkv", "--device", "cpu")
    assert serial.exit_code == 0, serial.stderr
    assert frames_of(Path("out.mkv")) == frames_of(Path("serial.mkv"))
    assert not [*Path().glob(".refvid*")]


@posix
def test_what_was_made_ahead_is_there_after_a_kill(make_video, tmp_path) -> None:
    make_video(shots(30, 30, 200), "clip.mp4")
    words = ("enhance", "clip.mp4", *WORDS, "-o", "out.mkv", "--device", "cpu:2")
    notes = work_folder_of(Path("out.mkv")) / "notes.jsonl"
    with subprocess.Popen(
        [sys.executable, "-m", "refvid", *words],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as process:
        while not (notes.exists() and notes.read_text().endswith("\n")):
            assert process.poll() is None
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
    assert not Path("out.mkv").exists()
    listed = json.loads(run("clean", "--json").stdout)["leftovers"]
    assert "out.mkv" in [each["output"] for each in listed]

    ended = run(*words)
    assert ended.exit_code == 0, ended.stderr
    assert "going on with what an interrupted run has finished" in ended.stderr, ended.stderr
    serial = run("enhance", "clip.mp4", *WORDS, "-o", "serial.mkv", "--device", "cpu")
    assert serial.exit_code == 0, serial.stderr
    assert frames_of(Path("out.mkv")) == frames_of(Path("serial.mkv"))
    assert not [*tmp_path.glob(".refvid*")]
