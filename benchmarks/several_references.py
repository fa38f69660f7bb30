"""What one, two and four references bring, by how far a frame is from the nearest of them.

    python benchmarks/several_references.py CLIPS [--frames 49] [--degradations crf36 half blur]
        [--sheet FILE]

Every clip of a folder that has so many frames is degraded as `refvid evaluate` does and brought
back with its own clean frames as references: the first; first and last; these and two between them.
Each is given with its place. Gain in PSNR over the degraded clip [dB], mean over frames and clips,
once for each degradation and once for all; the references' own frames stand apart. The sheet shows
the middle of the middle frame of every clip, 240 pixels a side, of the first degradation: degraded,
with one reference, with two, with four, original.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refvid.evaluation.clips import find_clips, read_clip
from refvid.evaluation.measures import frame_psnr
from refvid.evaluation.rebuilding import rebuild_with
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.options import ModelOptions
from refvid.training.degradations import EVALUATION_DEGRADATIONS, degrade

Frames = NDArray[np.uint8]
"""(T, H, W, 3) RGB."""

SIDE = 240
COUNTS = (1, 2, 4)
GROUPS = ((0, 0), (1, 4), (5, 8), (9, 16), (17, 24), (25, 48))
"""Frames from the nearest reference, first and last."""

Gains = dict[tuple[int, int], list[float]]
"""Of frames, by the number of references and the distance to the nearest of them [dB]."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--degradations", nargs="+", default=list(EVALUATION_DEGRADATIONS))
    parser.add_argument("--model", default="mini")
    parser.add_argument("--max-clips", type=int)
    parser.add_argument("--sheet", type=Path, help="draw the results")
    args = parser.parse_args()
    loaded = choose_backbone(ModelOptions(model=args.model))
    gains: dict[str, Gains] = {name: defaultdict(list) for name in args.degradations}
    clips, rows = 0, []
    for path in find_clips(args.clips, args.max_clips):
        clean = read_clip(path, args.frames)
        if len(clean) < args.frames:
            continue
        clips += 1
        for name in args.degradations:
            degraded = degrade(clean, EVALUATION_DEGRADATIONS[name])
            rebuilt = {count: rebuild(loaded, degraded, clean, count) for count in COUNTS}
            if name == args.degradations[0]:
                shown = (degraded, *rebuilt.values(), clean)
                rows.append(np.hstack([middle(frames) for frames in shown]))
            mine = measure(degraded, rebuilt, clean)
            for key, found in mine.items():
                gains[name][key] += found
            told = (f"{count}: {mean_of_all(mine, count):+.2f}" for count in COUNTS)
            print(path.stem, name, *told, flush=True)
    print(f"\n{clips} clips of {args.frames} frames")
    everything: Gains = defaultdict(list)
    for name, ones in gains.items():
        print_table(name, ones)
        for key, found in ones.items():
            everything[key] += found
    print_table("all", everything)
    if args.sheet is not None:
        Image.fromarray(np.vstack(rows)).save(args.sheet, quality=82)


def rebuild(loaded: LoadedBackbone, degraded: Frames, clean: Frames, count: int) -> Frames:
    """A clip with so many of its own clean frames as references."""
    places = places_of(count, len(clean))
    return rebuild_with(loaded, degraded, [clean[n] for n in places], places)


def middle(frames: Frames) -> Frames:
    """Of the middle frame: (SIDE, SIDE, 3)."""
    frame = frames[len(frames) // 2]
    top, left = ((side - SIDE) // 2 for side in frame.shape[:2])
    return frame[top : top + SIDE, left : left + SIDE]


def measure(degraded: Frames, rebuilt: Mapping[int, Frames], clean: Frames) -> Gains:
    """Gains of one clip (T, H, W, 3), by what it became with so many references."""
    before = frame_psnr(degraded, clean)
    gains: Gains = defaultdict(list)
    for count, frames in rebuilt.items():
        places = places_of(count, len(clean))
        for index, psnr in enumerate(frame_psnr(frames, clean)):
            distance = min(abs(index - place) for place in places)
            gains[count, distance].append(psnr - before[index])
    return gains


def places_of(count: int, frames: int) -> tuple[int, ...]:
    """The first frame; of several, the last one, too, and those at equal steps between them."""
    return tuple(round(n * (frames - 1) / max(1, count - 1)) for n in range(count))


def mean_of_all(gains: Gains, count: int) -> float:
    """Of all frames but the references' own."""
    return fmean(gain for (c, d), found in gains.items() if c == count and d for gain in found)


def print_table(name: str, gains: Gains) -> None:
    """Print gains by distance, a column for each number of references."""
    print(f"\n| {name}: frames from the nearest | 1 reference | 2 references | 4 references |")
    print("| --- | --- | --- | --- |")
    for first, last in GROUPS:
        cells = []
        for count in COUNTS:
            found = [g for d in range(first, last + 1) for g in gains.get((count, d), [])]
            cells.append(f"{fmean(found):+.2f} dB" if found else "")
        if any(cells):
            words = "0, its own" if last == 0 else f"{first}-{last}"
            print(f"| {words} | {' | '.join(cells)} |")
    cells = [f"{mean_of_all(gains, count):+.2f} dB" for count in COUNTS]
    print(f"| all but its own | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
