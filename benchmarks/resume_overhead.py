"""What keeping stretches costs: time and disk of `enhance` with and without, in one run.

    python -m benchmarks.resume_overhead [--frames 220] [--size 480] [--clip FILE] [--rounds 1]
        [--strength 1] [--crf CRF]

A moving photo, or the frames of a clip forth and back, compressed with crf 32. It goes through the
same model, in each round without, with, with and without: whatever grows or shrinks meanwhile
meets both alike. "Without" is --no-resume. A run with is compared to the one without beside it;
the median of these ratios counts, and their spread tells what it is worth. Where other programs
work, that is more than what is looked for: so what keeping does by itself (packets, state,
checksums, waiting for the disk) is timed, too. Disk is the most that lay beside the source at any
time, over the size of the result, on which `--crf` decides; `--rounds 0` measures nothing else.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain, cycle, islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from PIL import Image

from refvid.media import work_folder
from refvid.media.encoding import Encoding
from refvid.media.inputs import Job
from refvid.media.packet_file import PacketFile
from refvid.media.pixel_conversion import to_uint8
from refvid.media.reader import open_video
from refvid.media.video_info import read_video_info
from refvid.media.work_folder import WorkFolder
from refvid.rebuild import resuming, video
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.enhance import enhance
from refvid.rebuild.options import ModelOptions, RebuildOptions
from refvid.rebuild.reference_options import References, ReferenceSource
from refvid.rebuild.resuming import Keeper, shortest_stretch
from refvid.rebuild.unchanged import no_model
from refvid.training.degradations import write_h264
from refvid.training.synthetic import moving_photo

WIDTHS = {256: 448, 480: 832, 720: 1280, 1080: 1920}

KEEPING: tuple[tuple[Any, str], ...] = (
    (video, "identify_run"),
    (WorkFolder, "__enter__"),
    (WorkFolder, "__exit__"),
    (Keeper, "before_chunk"),
    (PacketFile, "add"),
    (PacketFile, "close"),
    (resuming, "save_file"),
    (work_folder, "append_stretch"),
)
"""What is done for stretches alone; none of them calls another. That an encoder gives what it holds
back is not among them: that work comes sooner, not in addition."""


class Measured(NamedTuple):
    """One run."""

    wall: float
    """Seconds."""

    cpu: float
    """Seconds of all processors."""

    keeping: float
    """Seconds in `KEEPING`, by the clock."""

    result: int
    """Its size [bytes]."""

    disk: float
    """The most at any time, in sizes of the result."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=220)
    parser.add_argument("--size", type=int, default=480, choices=WIDTHS)
    parser.add_argument("--clip", type=Path, help="in place of a photo, of its own size")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--crf", type=float, help="of the result")
    asked = parser.parse_args()
    loaded = choose_backbone(ModelOptions(model="mini")) if asked.strength else no_model()
    pairs: list[tuple[Measured, Measured]] = []
    with tempfile.TemporaryDirectory(prefix="refvid-benchmark-") as place:
        source = Path(place, "clip.mp4")
        make_clip(source, asked.frames, asked.size, asked.clip)
        width, height = read_video_info(source).size
        stretch = shortest_stretch(height, width, has_model=bool(asked.strength))
        print(f"{asked.frames} frames of {width}x{height}, a stretch has {stretch} frames at least")

        def run(*, keeps: bool) -> Measured:
            options = RebuildOptions(
                strength=asked.strength,
                overwrite=True,
                resume=keeps,
                encoding=Encoding(crf=asked.crf),
            )
            measured = measure(source, loaded, options)
            print(f"{'with' if keeps else 'without':8}{tell(measured)}", flush=True)
            return measured

        if asked.rounds == 0:
            run(keeps=True)
            return
        for _ in range(asked.rounds):
            without, kept = run(keeps=False), run(keeps=True)
            kept_again, without_again = run(keeps=True), run(keeps=False)
            pairs += [(without, kept), (without_again, kept_again)]
    for name, value in (("time", lambda run: run.wall), ("processors' time", lambda run: run.cpu)):
        print(f"{name}: {overhead(pairs, value)}")
    shares = [100 * kept.keeping / kept.wall for _, kept in pairs]
    print(f"keeping by itself: {median(shares):.2f} % of time, {max(shares):.2f} % at most")


def tell(run: Measured) -> str:
    return (
        f"{run.wall:8.2f} s, {run.cpu:8.2f} s of processors, {1000 * run.keeping:6.0f} ms of "
        f"keeping, result {run.result / 1e6:.2f} MB, disk {run.disk:.2f} of it"
    )


def overhead(pairs: list[tuple[Measured, Measured]], value: Callable[[Measured], float]) -> str:
    ratios = [100 * (value(kept) / value(without) - 1) for without, kept in pairs]
    return f"{median(ratios):+.2f} % ({min(ratios):+.2f} to {max(ratios):+.2f})"


def make_clip(path: Path, frames: int, height: int, shown: Path | None) -> None:
    if shown is not None:
        with open_video(shown) as video:
            pictures = [to_uint8(frame.pixels) for frame in video]
        forth_and_back = cycle(chain(pictures, pictures[-2:0:-1]))
        write_h264(islice(forth_and_back, frames), path, crf=32)
        return
    width = WIDTHS[height]
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    photo = Image.fromarray(coarse).resize((2 * width, 2 * height), Image.Resampling.BICUBIC)
    clip = moving_photo(photo, size=(width, height), frames=frames, rng=random.Random(0))
    write_h264(clip, path, crf=32)


def measure(source: Path, loaded: LoadedBackbone, options: RebuildOptions) -> Measured:
    output = source.with_name("out.mp4")
    references = References(sources=(ReferenceSource(frame=0),) if options.strength else ())
    output.unlink(missing_ok=True)
    spent = [0.0]
    with watched(source) as most, ExitStack() as patches:
        for owner, name in KEEPING:
            timed = with_clock(getattr(owner, name), spent)
            patches.enter_context(mock.patch.object(owner, name, timed))
        started, cpu = time.perf_counter(), time.process_time()
        enhance(Job(source=source, output=output), references, options, loaded)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    result = output.stat().st_size
    return Measured(seconds, cpu, spent[0] if options.resume else 0.0, result, most[0] / result)


def with_clock(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """The same, and the time in it is added up."""

    def timed(*args: Any, **more: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **more)
        finally:
            spent[0] += time.perf_counter() - started

    return timed


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
