"""What tokenizers make of clips, as one picture for docs/.

    python benchmarks/tokens_sheet.py docs/tokens.webp face.mp4:1 face.mp4:32 coffee.mp4:16 ...

A row for each clip and frame: the original, `mini-reftok` (frame 0 is its reference), its twin
without a reference, and `mini-vtok`, with the PSNR of each. Clips are cut as `refvid evaluate
--task tokens` cuts them; the last two rows are a page of text that code makes and moves.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from refvid.evaluation.clips import read_clip
from refvid.evaluation.tokens import SIDE, code_clip, middle_square
from refvid.metrics.psnr import psnr
from refvid.rebuild.choose_tokenizer import LoadedTokenizer, choose_tokenizer
from refvid.rebuild.options import ModelOptions

Frames = NDArray[np.uint8]

_MODELS = ("mini-reftok", "mini-reftok-twin", "mini-vtok")
_TEXT = "A block of frames is coded given a reference that is not quantised. "
_TEXT_FRAMES = (4, 24)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("frames", nargs="+", metavar="CLIP:FRAME")
    arguments = parser.parse_args()
    tokenizers = [choose_tokenizer(ModelOptions(model=name, device="cpu")) for name in _MODELS]
    wanted: dict[str, list[int]] = {}
    for word in arguments.frames:
        name, _, number = word.rpartition(":")
        wanted.setdefault(name, []).append(int(number))
    rows = []
    for name, numbers in wanted.items():
        clip = middle_square(read_clip(Path(name), max(numbers) + 1))
        rows += _rows(clip, numbers, tokenizers)
    rows += _rows(moving_text(max(_TEXT_FRAMES) + 1), list(_TEXT_FRAMES), tokenizers)
    Image.fromarray(np.concatenate(rows)).save(arguments.output, quality=80, method=6)


def _rows(clip: Frames, numbers: list[int], tokenizers: list[LoadedTokenizer]) -> list[Frames]:
    made = []
    for loaded in tokenizers:
        if loaded.name == "mini-vtok":
            made.append(code_clip(loaded, clip, None)[0])
        else:
            coded, _, _ = code_clip(loaded, clip[1:], clip[0])
            made.append(np.concatenate((clip[:1], coded)))
    rows = []
    for number in numbers:
        parts = [_labelled(clip[number], f"frame {number}")]
        parts += [
            _labelled(frames[number], f"{name} {psnr(frames[number], clip[number]):.1f} dB")
            for name, frames in zip(_MODELS, made, strict=True)
        ]
        rows.append(np.concatenate(parts, 1))
    return rows


def moving_text(frames: int) -> Frames:
    """Lines of text that drift and grow a little: (T, 256, 256, 3)."""
    page = Image.new("RGB", (2 * SIDE, 2 * SIDE), (236, 232, 222))
    draw = ImageDraw.Draw(page)
    for line in range(24):
        words = (_TEXT[7 * line % len(_TEXT) :] + _TEXT + _TEXT)[:60]
        font = ImageFont.load_default(size=12 + line % 3 * 4)
        draw.text((12, 8 + 21 * line), words, (20, 24, 60 + line * 5), font=font)
    shown = []
    for number in range(frames):
        side = 2 * SIDE - 4 * number
        left, top = 3 * number, 2 * number
        cut = page.crop((left, top, left + side * 3 // 4, top + side * 3 // 4))
        shown.append(np.asarray(cut.resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.uint8))
    return np.stack(shown)


def _labelled(frame: Frames, words: str) -> Frames:
    picture = Image.fromarray(frame)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, SIDE, 16), fill=(0, 0, 0))
    draw.text((4, 2), words, (255, 255, 255), font=ImageFont.load_default(size=11))
    return np.asarray(picture, np.uint8)


if __name__ == "__main__":
    main()
