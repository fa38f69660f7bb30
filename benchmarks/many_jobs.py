# ruff: noqa: ARG002 -- the protocol has what a model that sleeps does not need
"""What `refvid batch` and several workers cost: `python benchmarks/many_jobs.py [--jobs 10000]`.

Prints how long a list of jobs takes until the first begins and the memory of that, the time between
jobs that is not theirs, and how much faster two workers are with a model that only sleeps.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor

from refvid.distribution.engine import Perform
from refvid.distribution.processes import run_in_processes
from refvid.media.inputs import Job
from refvid.models.backbone import Backbone, BackboneLimits, Decoded, Encoded
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.enhance import enhance
from refvid.rebuild.options import RebuildOptions
from refvid.rebuild.reference_options import References

FRAMES = 16
SLEEP_S = 0.25


class SleepingBackbone:
    """Gives back what it gets, after a while in which it needs no processor."""

    name = "sleeping"
    limits = BackboneLimits(
        size_multiple=8,
        min_size=16,
        temporal_stride=1,
        first_chunk_extra=0,
        default_chunk=4,
        max_chunk=8,
    )

    def encode(self, clip: Tensor, state: Any = None) -> Encoded:
        return Encoded(clip, state)

    def prepare_reference(self, reference: Tensor) -> Tensor:
        return reference

    def decode(
        self, latents: Tensor, reference: Any = None, state: Any = None, *, tile: int | None = None
    ) -> Decoded:
        time.sleep(SLEEP_S)
        return Decoded(latents, state)

    def working_bytes(self, height: int, width: int, frames: int, tile: int | None) -> int:
        return height * width * frames

    def plain(self) -> Backbone | None:
        return None

    def bound_memory(self) -> None:
        pass


@dataclass(frozen=True)
class Sleeper:
    """Makes a worker with that model."""

    def __call__(self, place: str) -> Perform:
        loaded = LoadedBackbone(
            backbone=SleepingBackbone(),
            device=torch.device(place),
            dtype=torch.float32,
            reason="it only sleeps",
        )
        return lambda job, _tell: enhance(job, References(), RebuildOptions(), loaded).frames


def write_clip(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(FRAMES):
            pixels = np.full((48, 64, 3), index * 8, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode(None))


def write_list(folder: Path, jobs: int) -> None:
    write_clip(folder / "clip.mp4")
    (folder / "out").mkdir()
    rows = ["input,output,strength,crf"]
    for number in range(jobs):
        (folder / f"{number}.mp4").symlink_to("clip.mp4")
        rows.append(f"{number}.mp4,out/{number}.mp4,0,20")
    (folder / "jobs.csv").write_text("\n".join(rows) + "\n")


def start(folder: Path) -> subprocess.Popen[str]:
    words = ["batch", "jobs.csv", "--device", "cpu", "--progress", "json"]
    return subprocess.Popen(
        [sys.executable, "-m", "refvid", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def measure_start(jobs: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_list(folder, jobs)
        began = time.monotonic()
        with start(folder) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if json.loads(line)["event"] == "start":
                    break
            seconds = time.monotonic() - began
            status = Path(f"/proc/{process.pid}/status").read_text()
            ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            process.terminate()
            process.stderr.read()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        used = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        print(
            f"{jobs} jobs: checked and begun after {seconds:.1f} s ({used:.1f} s of a processor), "
            f"peak memory {int(peak.split()[1]) / 1024:.0f} MiB"
        )


def measure_between(jobs: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_list(folder, jobs)
        work = 0.0
        began = ended = 0.0
        with start(folder) as process:
            assert process.stderr is not None
            for line in process.stderr:
                event = json.loads(line)
                if event["event"] == "done":
                    began = began or time.monotonic()
                    ended = time.monotonic()
                    work += event["report"]["seconds"] if began != ended else 0
        between = 1000 * (ended - began - work) / (jobs - 1)
        print(f"between two jobs of one worker: {between:.1f} ms (mean of {jobs})")


def measure_workers(jobs: int) -> None:
    seconds = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_clip(folder / "clip.mp4")
            tasks = [
                Job(source=folder / "clip.mp4", output=folder / f"{number}.mp4")
                for number in range(jobs)
            ]
            first = last = 0.0
            for event in run_in_processes(tasks, ["cpu"] * workers, Sleeper(), {}):
                # What comes before is the start of Python and torch.
                first = first or (time.monotonic() if event.kind == "finished" else 0)
                last = time.monotonic()
            seconds[workers] = (last - first) / (jobs - workers)
    print(
        f"a model that sleeps {SLEEP_S * FRAMES / 4:.1f} s a clip: {seconds[1]:.2f} s a clip with "
        f"one worker, {seconds[2]:.2f} s with two ({seconds[1] / seconds[2]:.2f} times as fast)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000, help="of the long list")
    jobs = parser.parse_args().jobs
    measure_start(jobs)
    measure_between(100)
    measure_workers(16)


if __name__ == "__main__":
    main()
