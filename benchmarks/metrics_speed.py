"""Speed and peak memory of `refvid metrics` on a long clip, beside FFmpeg's filter `psnr`.

    python benchmarks/metrics_speed.py [--clip FILE] [--minutes 10] [--size 854x480]
        [--measures psnr] [--rounds 1] [--cores 2]

Two H.264 files of the same moving picture, one good (crf 18) and one poor (crf 32), are measured by
the program itself in a process of its own: start-up, decoding and conversion to RGB included. The
picture is made by this script, or is the clip over and over. Where `ffmpeg` is installed, it
measures the same files in turns with refvid, and the last line says how much more processor time
(user and system) refvid took. That is the figure to compare on a machine that others use too.
FFmpeg compares Y, Cb and Cr as they are stored; refvid converts both files to RGB first.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from PIL import Image
from processes import run, run_refvid

RATE = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clip", type=Path, help="what is shown; without it a made pattern")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--size", default="854x480", help="width x height")
    parser.add_argument("--measures", default="psnr")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    width, height = (int(side) for side in arguments.size.split("x"))
    frames = round(arguments.minutes * 60 * RATE)
    pictures = moving(width, height) if arguments.clip is None else repeated(arguments.clip)
    with tempfile.TemporaryDirectory() as folder:
        poor, good = (Path(folder) / name for name in ("poor.mp4", "good.mp4"))
        encode(islice(pictures, frames), {poor: 32, good: 18}, width, height)
        words = [
            *("metrics", str(poor), "--reference", str(good)),
            *("--measures", arguments.measures, "--quiet", "--overwrite"),
            *("--csv", str(Path(folder) / "frames.csv")),
        ]
        ffmpeg = ["ffmpeg", "-v", "error", "-i", str(poor), "-i", str(good), "-lavfi", "psnr"]
        ratios = []
        for _ in range(arguments.rounds):
            ours = run_refvid(*words)
            print(
                f"{frames} frames of {width}x{height}, {arguments.measures}: "
                f"{ours.seconds:.1f} s, {frames / ours.seconds:.0f} frames/s; "
                f"{ours.processor:.1f} CPU-seconds, {1000 * ours.processor / frames:.1f} ms per "
                f"frame; peak {ours.peak / 2**20:.0f} MiB; load average {os.getloadavg()[0]:.1f}"
            )
            if shutil.which("ffmpeg"):
                theirs = run([*ffmpeg, "-f", "null", "-"])
                ratios.append(ours.processor / theirs.processor)
                print(f"FFmpeg's psnr: {theirs.seconds:.1f} s, {theirs.processor:.1f} CPU-seconds")
    if ratios:
        print(f"refvid took {statistics.median(ratios):.2f} times FFmpeg's processor time")


def moving(width: int, height: int) -> Iterator[av.VideoFrame]:
    """A window that goes over a texture, without end."""
    rng = np.random.default_rng(0)
    texture = np.zeros((2 * height, 2 * width, 3))
    for cell in (8, 40):
        size = (2 * height // cell, 2 * width // cell, 3)
        coarse = Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8))
        texture += np.asarray(coarse.resize((2 * width, 2 * height), Image.Resampling.BICUBIC)) / 2
    pixels = texture.astype(np.uint8)
    index = 0
    while True:
        # Back and forth at speeds that do not divide each other: it does not repeat for long.
        top = round((1 + np.sin(index / 61)) / 2 * (height - 1))
        left = round((1 + np.sin(index / 97)) / 2 * (width - 1))
        window = np.ascontiguousarray(pixels[top : top + height, left : left + width])
        yield av.VideoFrame.from_ndarray(window)
        index += 1


def repeated(clip: Path) -> Iterator[av.VideoFrame]:
    """A clip's frames, over and over."""
    while True:
        with av.open(str(clip)) as container:
            yield from container.decode(video=0)


def encode(
    pictures: Iterator[av.VideoFrame], outputs: dict[Path, int], width: int, height: int
) -> None:
    """Write the same pictures in several qualities: a file and its crf each."""
    containers = [av.open(str(path), "w") for path in outputs]
    streams = []
    for container, crf in zip(containers, outputs.values(), strict=True):
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "superfast"}
        streams.append(stream)
    for index, picture in enumerate(pictures):
        frame = picture.reformat(width=width, height=height, format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, RATE)
        frame.pict_type = 0
        for container, stream in zip(containers, streams, strict=True):
            container.mux(stream.encode(frame))
    for container, stream in zip(containers, streams, strict=True):
        container.mux(stream.encode(None))
        container.close()


if __name__ == "__main__":
    main()
