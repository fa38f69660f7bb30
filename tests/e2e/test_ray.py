"""`--ray`: a real cluster of two nodes on this machine, one of which is killed in the middle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.job_lists import lossless, videos_in, write_list
from tests.pages import PROJECT

pytestmark = pytest.mark.slow

JOBS = 20


@pytest.fixture
def cluster(monkeypatch) -> Iterator[Any]:
    pytest.importorskip("ray", reason="needs the extra ray: pip install ray")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))  # workers import refvid, and these tests
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # a busy machine gives nice ones nothing
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture
def folder(make_video, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    video = make_video(40).read_bytes()
    for number in range(JOBS):
        Path(f"{number:02}.mp4").write_bytes(video)
    for name in ("serial", "out"):
        Path(name).mkdir()
    return tmp_path


def refvid(*words: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "refvid", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **options,
    )


def test_all_jobs_are_done_though_a_node_is_lost(cluster, folder):
    second = cluster.add_node(num_cpus=1)
    names = [f"{number:02}.mp4" for number in range(JOBS)]
    name = write_list(lossless(names))
    with refvid("batch", name, "--ray", cluster.address, "--progress", "json", "--json") as run:
        assert run.stderr is not None
        assert run.stdout is not None
        events, nodes, killed = [], set(), False
        for line in run.stderr:
            event = json.loads(line)
            events.append(event)
            if event["event"] == "start":
                nodes.add(event["device"])
            busy = [each["event"] for each in events]
            if not killed and busy.count("done") >= 4 and busy.count("start") > busy.count("done"):
                cluster.remove_node(second, allow_graceful=False)
                killed = True
        report = json.loads(run.stdout.read())
        assert run.wait() == 0, events[-5:]
    assert killed
    assert {each["status"] for each in report["results"]} == {"done"}
    assert [each["line"] for each in report["results"]] == list(range(2, JOBS + 2))
    words = ("enhance", *names, "--strength", "0", "-c", "ffv1", "-o", "serial/{stem}.mkv")
    with refvid(*words) as run:
        run.communicate()
        assert run.returncode == 0
    assert videos_in("out") == videos_in("serial")
    assert not [path for path in (folder / "out").iterdir() if path.name.startswith(".")]


def test_a_command_over_a_folder(cluster, folder):
    cluster.add_node(num_cpus=1)
    with refvid("enhance", ".", "--strength", "0", "-o", "out/", "--ray", cluster.address) as run:
        stdout, stderr = run.communicate()
        assert run.returncode == 0, stderr
    assert len(stdout.splitlines()) == JOBS + 1  # and the video that the others are copies of


def test_files_that_a_machine_does_not_see(cluster, folder):
    """A node of its own mount namespace would be the real thing; a worker is asked directly."""
    from refvid.cli.remote import WorkerSetup
    from refvid.distribution.cluster import run_on_cluster
    from refvid.errors import InputError

    setup = WorkerSetup(folder, "normal", (folder / "nowhere",))
    began = time.monotonic()
    with pytest.raises(InputError, match="nowhere is not to be seen on"):
        list(run_on_cluster([None], cluster.address, ["cpu"], setup))
    assert time.monotonic() - began < 300


def test_no_cluster_is_said_at_once(folder):
    pytest.importorskip("ray", reason="needs the extra ray: pip install ray")
    with refvid("enhance", "00.mp4", "--strength", "0", "--ray", "127.0.0.1:1") as run:
        _, stderr = run.communicate()
        assert run.returncode == 6
    assert "There is no Ray cluster at 127.0.0.1:1" in stderr
