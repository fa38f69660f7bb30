"""The claims of RefDecoder (arXiv:2605.15196), tried with small models and equal budgets.

    OMP_NUM_THREADS=1 python -m benchmarks.paper_claims --clips FOLDER --images FOLDER \
        --valid FOLDER --output FOLDER --steps 500

A codec as narrow as Wan 2.1's (16 latents for 8x8x4 pixels: principal components of the training
clips, frozen), and behind it the decoder of `refvid`'s mini model, trained by the engine of `refvid
train` in the ways that the paper compares. Needs `pip install '.[train]'`. What is finished is
not done again: calling it once more, with more runs or seeds, adds to the tables.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.paper_claims.codec import NarrowCodec, load_or_fit_codec
from benchmarks.paper_claims.measure import (
    HeldOutClip,
    held_out_clips,
    measure,
    random_references,
    summary,
)
from benchmarks.paper_claims.runs import VARIANTS, Variant, config_of, train_run, training_clips
from benchmarks.paper_claims.tables import report
from refvid.training.clips import CachedClip


def main() -> None:
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("accelerate").setLevel(logging.WARNING)
    output: Path = arguments.output
    exclude = arguments.exclude.read_text(encoding="utf-8").split() if arguments.exclude else ()
    clips = training_clips(arguments.clips, arguments.images, output / "cache", exclude)
    codec = load_or_fit_codec(output / "codec.safetensors", clips)
    held_out = held_out_clips(arguments.valid, arguments.window)
    for seed in arguments.seeds:
        for variant in VARIANTS:
            if variant.name in arguments.runs:
                run_once(variant, output, arguments.steps, seed, codec, clips, held_out)
    results = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(output.glob(f"*-{arguments.steps}-[0-9]*/result.json"))
    ]
    alone = summary(measure(lambda batch: codec.decode(codec.encode(batch.target)), held_out))
    document = {"codec": alone, "runs": results}
    (output / "report.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    tables = report(alone, results)
    (output / "report.md").write_text(tables + "\n", encoding="utf-8")
    print(json.dumps(document) if arguments.json else tables)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=Path, required=True, help="videos to train on")
    parser.add_argument("--images", type=Path, help="photographs to train on, made to move")
    parser.add_argument("--exclude", type=Path, help="a file of file names to leave out")
    parser.add_argument("--valid", type=Path, required=True, help="held-out videos")
    parser.add_argument("--output", type=Path, required=True, help="runs and tables")
    parser.add_argument("--steps", type=int, default=500, help="of every run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    names = [variant.name for variant in VARIANTS]
    parser.add_argument("--runs", nargs="+", choices=names, default=names)
    parser.add_argument("--window", type=int, default=256, help="side of what is decoded [pixels]")
    parser.add_argument("--json", action="store_true", help="print all figures instead of tables")
    return parser.parse_args()


def run_once(
    variant: Variant,
    output: Path,
    steps: int,
    seed: int,
    codec: NarrowCodec,
    clips: Sequence[CachedClip],
    held_out: Sequence[HeldOutClip],
) -> None:
    """Train and measure one variant, unless its result is there."""
    folder = output / f"{variant.name}-{steps}-{seed}"
    record = folder / "result.json"
    if record.exists():
        return
    recipe = train_run(config_of(variant, folder, steps, seed), codec, clips)
    result: dict[str, Any] = {"variant": variant.name, "seed": seed}
    result["first"] = summary(measure(recipe, held_out))
    if variant.random_test:
        result["random"] = summary(measure(recipe, held_out, random_references))
    partial = record.with_suffix(".partial")
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.replace(record)
    logging.getLogger(__name__).info("%s: %.2f dB", folder.name, result["first"]["psnr"])


if __name__ == "__main__":
    main()
