"""What one, two and four references bring, by how far a frame is from the nearest of them.

    python benchmarks/several_references.py CLIPS [--degradations crf36 half] [--model mini]

Every clip of a folder with 49 frames or more is degraded as `refvid evaluate` does and brought back
with its own clean frames as references: frame 0; frames 0 and 48; frames 0, 16, 32 and 48. Each is
given with its place. Gain in PSNR over the degraded clip [dB], mean over frames, clips and
degradations; the references' own frames stand apart.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import fmean

from refvid.evaluation.clips import find_clips, read_clip
from refvid.evaluation.measures import frame_psnr
from refvid.evaluation.rebuilding import rebuild_with
from refvid.rebuild.choose_backbone import choose_backbone
from refvid.rebuild.options import ModelOptions
from refvid.training.degradations import EVALUATION_DEGRADATIONS, degrade

FRAMES = 49
PLACES = {1: (0,), 2: (0, 48), 4: (0, 16, 32, 48)}
GROUPS = ((0, 0), (1, 4), (5, 8), (9, 16), (17, 24), (25, 48))
"""Frames from the nearest reference, first and last."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--degradations", nargs="+", default=["crf36", "half"])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--max-clips", type=int)
    parser.add_argument("--json", type=Path, help="also write every gain there")
    args = parser.parse_args()
    loaded = choose_backbone(ModelOptions(model=args.model))
    gains: dict[tuple[int, int], list[float]] = defaultdict(list)  # by references, distance
    for path in find_clips(args.clips, args.max_clips):
        clean = read_clip(path, FRAMES)
        if len(clean) < FRAMES:
            continue
        for name in args.degradations:
            degraded = degrade(clean, EVALUATION_DEGRADATIONS[name])
            before = frame_psnr(degraded, clean)
            for count, places in PLACES.items():
                rebuilt = rebuild_with(loaded, degraded, [clean[n] for n in places], places)
                for index, psnr in enumerate(frame_psnr(rebuilt, clean)):
                    distance = min(abs(index - place) for place in places)
                    gains[count, distance].append(psnr - before[index])
            told = {c: fmean(_all(gains, c)) for c in PLACES}
            print(path.stem, name, {c: round(gain, 2) for c, gain in told.items()}, flush=True)
            print_table(gains)  # so far: the last one is of all
    if args.json is not None:
        args.json.write_text(json.dumps({f"{c} {d}": g for (c, d), g in gains.items()}))


def _all(gains: dict[tuple[int, int], list[float]], count: int) -> list[float]:
    """Of all frames but the references' own."""
    return [gain for (c, d), found in gains.items() if c == count and d for gain in found]


def print_table(gains: dict[tuple[int, int], list[float]]) -> None:
    """Print gains by distance, a column for each number of references."""
    print("\n| frames from the nearest | 1 reference | 2 references | 4 references |")
    print("| --- | --- | --- | --- |")
    for first, last in GROUPS:
        cells = []
        for count in PLACES:
            found = [g for d in range(first, last + 1) for g in gains.get((count, d), [])]
            cells.append(f"{fmean(found):+.2f} dB" if found else "")
        words = "0, its own" if last == 0 else f"{first}-{last}"
        print(f"| {words} | {' | '.join(cells)} |")
    cells = [f"{fmean(_all(gains, count)):+.2f} dB" for count in PLACES]
    print(f"| all | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
