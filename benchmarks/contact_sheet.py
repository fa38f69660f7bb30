"""What `enhance` with the bundled model does, as one picture for docs/.

    python benchmarks/contact_sheet.py docs/enhance.webp

Rows: the demo's clip near its first frame and at its last, with a photo by another camera as
reference, and clips made by code that need no help. Columns: input, result, original.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from refvid.evaluation.demo import sample_clip, sample_photo
from refvid.evaluation.rebuilding import rebuild_with
from refvid.metrics.psnr import psnr
from refvid.rebuild.choose_backbone import choose_backbone
from refvid.rebuild.options import ModelOptions
from refvid.training.degradations import Degradation, degrade
from refvid.training.made import make_clip

Frame = NDArray[np.uint8]

_PHOTO_FRAMES = (4, 32)
_KINDS = ("title", "letterbox", "drawn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    loaded = choose_backbone(ModelOptions(model="mini"))
    clean = sample_clip()
    degraded = degrade(clean, Degradation(crf=36))
    rebuilt = rebuild_with(loaded, degraded, [sample_photo()])
    rows = [
        (f"frame {n}, a photo as reference", *(clip[n] for clip in (degraded, rebuilt, clean)))
        for n in _PHOTO_FRAMES
    ]
    for kind in _KINDS:
        made = make_clip(kind, random.Random(3), (448, 320), 5, Image.fromarray(clean[0]))
        worse = degrade(made, Degradation(crf=30))
        better = rebuild_with(loaded, worse, [made[0]])
        rows.append((f"{kind}, made by code", *(clip[4] for clip in (worse, better, made))))
    sheet = np.concatenate([row(*parts) for parts in rows])
    Image.fromarray(sheet).save(arguments.output, quality=82)


def row(label: str, before: Frame, after: Frame, clean: Frame) -> Frame:
    """Input, result and original side by side, with how near the first two are to the last."""
    words = (
        f"{label}: input {psnr(before, clean):.1f} dB",
        f"refvid {psnr(after, clean):.1f} dB",
        "original",
    )
    line = Image.fromarray(np.concatenate((before, after, clean), 1))
    draw = ImageDraw.Draw(line)
    for number, text in enumerate(words):
        draw.text(
            (number * clean.shape[1] + 8, 6),
            text,
            fill="white",
            stroke_fill="black",
            stroke_width=2,
            font=ImageFont.load_default(17),
        )
    return np.asarray(line)


if __name__ == "__main__":
    main()
