"""Speed of `refvid stylize` next to `refvid enhance`, in turns on the same clip.

    python benchmarks/stylize_speed.py [--frames 48] [--rounds 3] [--height 480] [--weights FILE]

Each round runs both commands, each as a process of its own, and takes the seconds that they report
themselves: reading, the model and writing, without start-up and loading. Figures depend on what
else the machine does; the ratio, of medians, much less.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from enhance_speed import WIDTHS, make_clip
from PIL import Image
from processes import run_refvid

from refvid.training.degradations import write_h264


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--height", type=int, default=480, choices=WIDTHS)
    parser.add_argument("--style", type=Path, help="a painting; without one, strokes are made")
    parser.add_argument("--weights", type=Path, help="of the style model; the bundled ones without")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        width = WIDTHS[arguments.height]
        source, reference = folder / "clip.mp4", folder / "reference.png"
        clip = make_clip(width, arguments.height, arguments.frames)
        write_h264(clip, source, crf=30, rate=24)
        Image.fromarray(clip[0]).save(reference)
        style = arguments.style or make_painting(folder / "painting.png")
        weights = [] if arguments.weights is None else ["--weights", str(arguments.weights)]
        commands = {
            "enhance": ["enhance", "--ref", str(reference), "--model", "mini"],
            "stylize": ["stylize", "--style", str(style), *weights],
        }
        rates: dict[str, list[float]] = {command: [] for command in commands}
        for turn in range(arguments.rounds):
            for command, words in commands.items():
                rates[command].append(frame_rate(source, words, folder / f"{command}.mp4"))
            print(
                f"round {turn + 1}: "
                + ", ".join(
                    f"{command} {found[-1]:.2f} frames/s" for command, found in rates.items()
                )
            )
    middle = {command: statistics.median(found) for command, found in rates.items()}
    print(
        f"{width}x{arguments.height}, {arguments.frames} frames: stylize takes "
        f"{middle['enhance'] / middle['stylize']:.2f} times as long as enhance"
    )


def frame_rate(source: Path, words: list[str], output: Path) -> float:
    """Frames per second of one command, by its own count."""
    ran = run_refvid(*words, str(source), "-o", str(output), "-y", "-q", "--json")
    return float(ran.report["frames"] / ran.report["seconds"])


def make_painting(path: Path, side: int = 512) -> Path:
    """Strokes of many colours and sizes, always the same."""
    rng = np.random.default_rng(0)
    canvas = np.zeros((side, side, 3))
    for length in (64, 32, 16, 8):
        cells = rng.uniform(0, 255, (side // 4, side // length, 3))
        canvas += np.kron(cells, np.ones((4, length, 1))) / 4
    Image.fromarray(canvas.astype(np.uint8)).save(path)
    return path


if __name__ == "__main__":
    main()
