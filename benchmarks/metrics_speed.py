"""Speed and peak memory of `refvid metrics` on a long clip that this script makes.

    python benchmarks/metrics_speed.py [--minutes 10] [--size 854x480] [--measures psnr] [--cores 2]

Two H.264 files of the same moving picture, one good (crf 18) and one poor (crf 32), are measured by
the program itself in a process of its own: start-up, decoding and conversion to RGB included.
CPU-seconds are the figure to compare on a machine that others use too.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from PIL import Image

RATE = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--size", default="854x480", help="width x height")
    parser.add_argument("--measures", default="psnr")
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    width, height = (int(side) for side in arguments.size.split("x"))
    frames = round(arguments.minutes * 60 * RATE)
    with tempfile.TemporaryDirectory() as folder:
        clips = [Path(folder) / name for name in ("poor.mp4", "good.mp4")]
        make_clips(clips, frames, width, height)
        started = time.perf_counter()
        subprocess.run(
            [
                *(sys.executable, "-m", "refvid", "metrics", str(clips[0])),
                *("--reference", str(clips[1]), "--measures", arguments.measures, "--quiet"),
                *("--csv", str(Path(folder) / "frames.csv")),
            ],
            check=True,
        )
        seconds = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = usage.ru_utime + usage.ru_stime
    print(
        f"{frames} frames of {width}x{height}, {arguments.measures}: {seconds:.1f} s, "
        f"{frames / seconds:.0f} frames/s; {processor:.1f} CPU-seconds, "
        f"{1000 * processor / frames:.1f} ms per frame; peak {usage.ru_maxrss / 1024:.0f} MiB; "
        f"load average {os.getloadavg()[0]:.1f}"
    )


def make_clips(paths: list[Path], frames: int, width: int, height: int) -> None:
    """Write the same moving picture with rising quality."""
    rng = np.random.default_rng(0)
    texture = np.zeros((2 * height, 2 * width, 3))
    for cell in (8, 40):
        size = (2 * height // cell, 2 * width // cell, 3)
        coarse = Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8))
        texture += np.asarray(coarse.resize((2 * width, 2 * height), Image.Resampling.BICUBIC)) / 2
    pixels = texture.astype(np.uint8)
    containers = [av.open(str(path), "w") for path in paths]
    streams = []
    for container, crf in zip(containers, (32, 18), strict=True):
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "superfast"}
        streams.append(stream)
    for index in range(frames):
        # Back and forth at speeds that do not divide each other: it does not repeat for long.
        top = round((1 + np.sin(index / 61)) / 2 * (height - 1))
        left = round((1 + np.sin(index / 97)) / 2 * (width - 1))
        window = np.ascontiguousarray(pixels[top : top + height, left : left + width])
        frame = av.VideoFrame.from_ndarray(window).reformat(format="yuv420p")
        frame.pts = index
        for container, stream in zip(containers, streams, strict=True):
            container.mux(stream.encode(frame))
    for container, stream in zip(containers, streams, strict=True):
        container.mux(stream.encode(None))
        container.close()


if __name__ == "__main__":
    main()
