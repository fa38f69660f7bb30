"""Fit how much neighbouring frames count in mini, as for the bundled weights.

    python -m benchmarks.fit_neighbours CLIPS WEIGHTS -o OUT [--draws 7000] [--seed 0]

WEIGHTS are mini's, without or with such a fit; OUT are the same with a new one. A draw takes about
a tenth of a second.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from refvid.training.clips import VIDEO_SUFFIXES
from refvid.training.neighbour_fit import draw, fit, put_into


def main() -> None:
    """Read the command line, fit, and tell what the fit brings where it was made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, help="folder of clean clips")
    parser.add_argument("weights", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=7000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    clips = sorted(path for path in options.clips.iterdir() if path.suffix in VIDEO_SUFFIXES)
    draws = draw(clips, options.draws, random.Random(options.seed))
    fitted = fit(draws)
    gain = draws.gain(fitted(draws.condition))
    print(f"{len(gain)} draws: {gain.mean():+.3f} dB, {gain.min():+.2f} at worst")
    put_into(options.weights, fitted, options.output)


if __name__ == "__main__":
    main()
