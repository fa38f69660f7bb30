"""Speed and peak memory of `refvid tokenize` and `refvid detokenize`, and how much smaller it gets.

    python benchmarks/tokens_speed.py [--clip FILE] [--size 256x256] [--frames 65]
        [--models mini-reftok mini-vtok] [--threads 2]

Each command runs as a process of its own. Frames per second are those that the command counts
itself (reading, the tokenizer, writing; neither start-up nor loading), and frames per second of
processor time, start-up included, which depend less on what else the machine does. The ratio is
the bits of the clip's pixels, 24 each, over those of tokens alone, and with references.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import cv2
from enhance_speed import make_clip
from processes import run_refvid

from refvid.media.pixel_conversion import to_uint8
from refvid.media.reader import open_video
from refvid.training.degradations import write_h264


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clip", type=Path, help="without one, a photo that moves is made")
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--frames", type=int, default=65)
    parser.add_argument("--models", nargs="+", default=["mini-reftok", "mini-vtok"])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "clip.mp4"
        clip = _frames(arguments.clip, (width, height), arguments.frames)
        write_h264(clip, source, crf=10, rate=25)
        for model in arguments.models:
            tokens, back = folder / f"{model}.tokens", folder / f"{model}.mp4"
            there = _run(["tokenize", str(source), "-o", str(tokens), "--model", model], arguments)
            again = _run(["detokenize", str(tokens), "-o", str(back)], arguments)
            facts = json.loads(run_refvid("info", str(tokens), "--json").printed)
            ratios = [
                24 / facts[key] for key in ("bits_per_pixel", "bits_per_pixel_with_references")
            ]
            print(
                f"{model}, {arguments.size}, {facts['frames']} frames: "
                f"tokenize {there}; detokenize {again}; "
                f"ratio {ratios[0]:.0f}, {ratios[1]:.0f} with references"
            )


def _frames(path: Path | None, size: tuple[int, int], count: int) -> list[Any]:
    """So many frames of a size; a shorter clip goes backwards and forwards again."""
    width, height = size
    if path is None:
        shown = list(make_clip(width, height, min(count, 30)))
    else:
        with open_video(path) as video:
            shown = [_fitted(to_uint8(frame.pixels), size) for frame in islice(video, count)]
    return list(islice(chain.from_iterable(repeat([*shown, *shown[::-1]])), count))


def _fitted(picture: Any, size: tuple[int, int]) -> Any:
    """Cut to the shape of a size in the middle, and scaled to it."""
    width, height = size
    rows, columns = picture.shape[:2]
    scale = max(width / columns, height / rows)
    tall, wide = round(height / scale), round(width / scale)
    top, left = (rows - tall) // 2, (columns - wide) // 2
    cut = picture[top : top + tall, left : left + wide]
    return cv2.resize(cut, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _run(words: list[str], arguments: argparse.Namespace) -> str:
    environment = {"OMP_NUM_THREADS": str(arguments.threads)}
    ran = run_refvid(*words, "-y", "-q", "--json", environment=environment)
    frames = ran.report["frames"]
    return (
        f"{frames / ran.report['seconds']:.1f} frames/s ({frames / ran.processor:.1f} per "
        f"processor second, peak {ran.peak / 2**20:.0f} MiB)"
    )


if __name__ == "__main__":
    main()
