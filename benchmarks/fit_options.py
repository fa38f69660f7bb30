"""What the scripts that fit a part of mini are told on their command lines."""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from pathlib import Path

from refvid.training.clips import CLIP_SUFFIXES


@dataclass(frozen=True)
class FitOptions:
    """What is asked for."""

    clips: list[Path]
    """Clean videos."""

    weights: Path
    output: Path
    draws: int
    rng: random.Random


def read_options(description: str | None, draws: int) -> FitOptions:
    """Read the command line; `draws` is how many frames are looked at unless it says so."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("clips", type=Path, help="folder of clean clips")
    parser.add_argument("weights", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=draws)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    clips = sorted(path for path in given.clips.iterdir() if path.suffix in CLIP_SUFFIXES)
    return FitOptions(clips, given.weights, given.output, given.draws, random.Random(given.seed))
