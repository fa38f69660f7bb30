"""Peak memory of `refvid enhance`, or of `refvid stylize`, on a short and on a long clip.

    python benchmarks/enhance_memory.py [--height 480] [--seconds 10 60] [--rate 15] [--style FILE]
        [--scale 2]

Memory must grow with the chunk, never with the video: the figures should be equal.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import chain, repeat
from pathlib import Path

from enhance_speed import WIDTHS, make_clip, shrink
from PIL import Image
from processes import run_refvid

from refvid.training.degradations import write_h264


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--height", type=int, default=480, choices=WIDTHS)
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 60])
    parser.add_argument("--rate", type=int, default=15)
    parser.add_argument("--style", type=Path, help="a painting: measure stylize with it")
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), help="enlarge to this height")
    arguments = parser.parse_args()
    clip = make_clip(WIDTHS[arguments.height], arguments.height, 3 * arguments.rate)
    with tempfile.TemporaryDirectory() as folder:
        source, reference = Path(folder, "clip.mp4"), Path(folder, "reference.png")
        Image.fromarray(clip[0]).save(reference)
        clip = shrink(clip, arguments.scale or 1)
        for duration in arguments.seconds:
            # Forwards and backwards again: no cut, however long.
            frames = chain.from_iterable(repeat([*clip, *clip[::-1]]))
            wanted = duration * arguments.rate
            write_h264((f for f, _ in zip(frames, range(wanted), strict=False)), source, crf=30)
            words = ["enhance", str(source), "--ref", str(reference)]
            if arguments.style:
                words = ["stylize", str(source), "--style", str(arguments.style)]
            words += ["--scale", str(arguments.scale)] if arguments.scale else []
            peak = run_refvid(*words, "-o", str(Path(folder, "out.mp4")), "-y", "-q").peak
            print(f"{duration} s, {wanted} frames at {arguments.height}p: {peak / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
