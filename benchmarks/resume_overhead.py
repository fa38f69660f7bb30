"""What keeping stretches costs: time and disk of `enhance` with and without, in one run.

    python -m benchmarks.resume_overhead [--frames 400] [--size 480] [--rounds 3] [--strength 1]

Both runs take the same clip through the same model, in turns; the faster round of each counts,
as other programs only slow down. "Without" is --no-resume. Disk is the most that lay beside the
source at any time, over the size of the result.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from refvid.media.inputs import Job
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.enhance import enhance
from refvid.rebuild.options import ModelOptions, RebuildOptions
from refvid.rebuild.reference_options import References, ReferenceSource
from refvid.rebuild.resuming import shortest_stretch
from refvid.rebuild.unchanged import no_model
from refvid.training.degradations import write_h264
from refvid.training.synthetic import moving_photo

WIDTHS = {256: 448, 480: 832, 720: 1280, 1080: 1920}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--size", type=int, default=480, choices=WIDTHS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--strength", type=float, default=1.0)
    asked = parser.parse_args()
    loaded = choose_backbone(ModelOptions(model="mini")) if asked.strength else no_model()
    height, width = asked.size, WIDTHS[asked.size]
    stretch = shortest_stretch(height, width, has_model=bool(asked.strength))
    with tempfile.TemporaryDirectory(prefix="refvid-benchmark-") as place:
        source = Path(place, "clip.mp4")
        make_clip(source, asked.frames, height, width)
        best = {name: (float("inf"), float("inf")) for name in ("without", "with")}
        disk = {"without": 0.0, "with": 0.0}
        for _ in range(asked.rounds):
            for name in best:
                wall, cpu, share = measure(source, loaded, asked.strength, keeps=name == "with")
                best[name] = min(best[name][0], wall), min(best[name][1], cpu)
                disk[name] = max(disk[name], share)
    print(f"{asked.frames} frames of {width}x{height}, a stretch has {stretch} frames at least")
    for name, (wall, cpu) in best.items():
        times = f"{wall:8.2f} s, {cpu:8.2f} s of processors"
        print(f"{name:8} {times}, disk {disk[name]:.3f} of the result")
    wall, cpu = (100 * (best["with"][i] / best["without"][i] - 1) for i in (0, 1))
    print(f"overhead {wall:+.2f} % of time, {cpu:+.2f} % of processors' time")


def make_clip(path: Path, frames: int, height: int, width: int) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    photo = Image.fromarray(coarse).resize((2 * width, 2 * height), Image.Resampling.BICUBIC)
    clip = moving_photo(photo, size=(width, height), frames=frames, rng=random.Random(0))
    write_h264(clip, path, crf=32)


def measure(
    source: Path, loaded: LoadedBackbone, strength: float, *, keeps: bool
) -> tuple[float, float, float]:
    """Seconds, those of all processors, and the most disk, in sizes of the result."""
    output = source.with_name("out.mp4")
    references = References(sources=(ReferenceSource(frame=0),) if strength else ())
    options = RebuildOptions(strength=strength, overwrite=True, resume=keeps)
    output.unlink(missing_ok=True)
    with watched(source) as most:
        started, cpu = time.perf_counter(), time.process_time()
        enhance(Job(source=source, output=output), references, options, loaded)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return seconds, cpu, most[0] / output.stat().st_size


@contextmanager
def watched(source: Path) -> Iterator[list[int]]:
    """Look at the disk all the time."""
    most, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            total = 0
            for path in source.parent.rglob("*"):
                try:
                    total += path.stat().st_size if path != source and path.is_file() else 0
                except FileNotFoundError:
                    continue
            most[0] = max(most[0], total)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    main()
