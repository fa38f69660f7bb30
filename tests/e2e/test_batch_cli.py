"""Several devices: real files, without a model (strength 0), and real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.commands import run
from tests.job_lists import frames_of, lossless, videos_in, write_list
from tests.pages import PROJECT


@pytest.fixture
def clips(make_video: Callable[..., Path], tmp_path: Path, monkeypatch) -> list[str]:
    """Three clips in the folder where the program runs."""
    monkeypatch.chdir(tmp_path)
    video = make_video(6).read_bytes()
    names = ["a.mp4", "b.mp4", "c.mp4"]
    for name in names:
        Path(name).write_bytes(video)
    Path("out").mkdir()
    return names


def test_the_number_of_workers_changes_nothing(clips):
    for name in ("one", "two"):
        Path(name).mkdir()
    words = ("enhance", *clips, "--strength", "0", "-c", "ffv1", "--json")
    one = run(*words, "-o", "one/{stem}.mkv")
    two = run(*words, "-o", "two/{stem}.mkv", "--device", "cpu:2")
    run("batch", write_list(lossless(clips)))
    assert one.exit_code == two.exit_code == 0
    assert videos_in("one") == videos_in("two") == videos_in("out")
    assert len(videos_in("one")) == 3
    reports = [json.loads(each.stdout)["results"] for each in (one, two)]
    for first, second in zip(*reports, strict=True):
        assert first["input"] == second["input"]
        assert first["report"]["frames"] == second["report"]["frames"]
        assert first["report"]["plan"]["codec"] == second["report"]["plan"]["codec"]


def repeat(clip: Path, times: int, to: Path) -> None:
    """Write a clip over and over, packet by packet."""
    with av.open(str(clip)) as source, av.open(str(to), "w") as target:
        video = source.streams.video[0]
        assert video.duration is not None
        one_tick = Fraction(str(video.time_base))
        copy = target.add_stream_from_template(video)
        packets = [packet for packet in source.demux(video) if packet.size]
        contents = [(bytes(one), one.pts, one.dts, one.is_keyframe) for one in packets]
        for turn in range(times):
            for content, pts, dts, is_keyframe in contents:
                assert pts is not None
                assert dts is not None
                packet = av.Packet(content)
                packet.stream = copy
                packet.time_base = one_tick
                packet.pts, packet.dts = (time + turn * video.duration for time in (pts, dts))
                packet.is_keyframe = is_keyframe
                target.mux(packet)


@pytest.mark.skipif(os.name == "nt", reason="signals are sent differently on Windows")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_workers_and_leaves_nothing(make_video, tmp_path, number, code):
    # So long that no machine is through with it before it is heard of: encoding takes minutes.
    repeat(make_video(200), 500, tmp_path / "a.mp4")
    os.link(tmp_path / "a.mp4", tmp_path / "b.mp4")
    out = tmp_path / "out"
    out.mkdir()
    words = ["enhance", "a.mp4", "b.mp4", "--strength", "0", "-o", "out/", "--device", "cpu:2"]
    with subprocess.Popen(
        [sys.executable, "-m", "refvid", *words, "--progress", "json", "-e", "preset=veryslow"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            assert line.startswith("{"), line + process.stderr.read()
            if json.loads(line)["event"] == "progress":
                break
        os.killpg(process.pid, number)  # as a terminal does
        rest = process.stderr.read()
        assert process.wait() == code, rest
    assert "Traceback" not in rest
    assert list(out.iterdir()) == []
    deadline = time.monotonic() + 60
    while True:  # no worker is left in the group
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_video_is_shared_by_devices_at_its_cuts(make_video, tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(5)
    shots = [
        np.repeat(random.integers(0, 256, (1, 6, 8, 3)), 30, axis=0).repeat(8, 1).repeat(8, 2)
        for _ in range(3)
    ]
    make_video(np.concatenate(shots).astype(np.uint8), "clip.mp4")
    words = ("enhance", "clip.mp4", "--ref", "frame:0", "-c", "ffv1", "--dtype", "fp32")
    for name in ("one", "two"):
        Path(name).mkdir()
    serial = run(*words, "-o", "one/out.mkv", "--device", "cpu", "--json")
    shared = run(*words, "-o", "two/out.mkv", "--device", "cpu:2", "--json")
    assert (serial.exit_code, shared.exit_code) == (0, 0), shared.stderr
    assert "looking for shot cuts" in shared.stderr
    assert "it is one shot" not in shared.stderr
    assert frames_of(Path("one/out.mkv")) == frames_of(Path("two/out.mkv"))
    [one], [two] = (json.loads(each.stdout)["results"] for each in (serial, shared))
    assert one["report"]["cuts"] == two["report"]["cuts"] == [30, 60]
    assert one["report"]["references"] == two["report"]["references"]
