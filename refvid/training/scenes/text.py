"""Letters without font files: Pillow's own face, and glyphs of a script that does not exist."""

from __future__ import annotations

import random
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

_SYLLABLES = (
    "an", "be", "ca", "de", "el", "fo", "gra", "hi", "in", "jo", "ka", "la", "mo", "nu", "or",
    "pe", "qui", "ra", "sen", "ti", "um", "va", "wes", "xi", "yo", "zo", "tion", "ing", "ers",
    "sch", "str", "ble", "mc", "th", "st", "ou", "ee", "rr", "ll", "ff", "fi",
)  # fmt: skip
_MARKS = ("", "", "", "", "", ",", ".", "!", "?", ":", " -", "...")


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own face at that size [pixels]."""
    return ImageFont.load_default(size=size)


def words(rng: random.Random, count: int) -> str:
    """That many words of no language, with capitals, marks and numbers."""
    made = []
    for _ in range(count):
        if rng.random() < 0.1:
            made.append(str(rng.randint(0, 10 ** rng.randint(1, 5))))
            continue
        word = "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(1, 3)))
        word = rng.choice((str.lower, str.lower, str.lower, str.capitalize, str.upper))(word)
        made.append(word + rng.choice(_MARKS))
    return " ".join(made)


def line_of(rng: random.Random, width: float, size: int) -> str:
    """Words that fill up to that width [pixels]."""
    return words(rng, max(1, int(width / (size * 2.6))))


def text_mask(
    rng: random.Random,
    size: tuple[int, int],
    lines: list[tuple[str, float, float, int, int]],
    *,
    foreign: bool = False,
) -> Image.Image:
    """Coverage of lines of text, anti-aliased.

    Args:
        rng: Draws the strokes of foreign glyphs.
        size: Width and height [pixels].
        lines: Text, x of its middle, y of its top, letter size and extra weight of each [pixels].
        foreign: Glyphs of drawn strokes instead of letters.

    Returns:
        An image of mode L, 255 where there is ink.
    """
    mask = Image.new("L", size, 0)
    draw = ImageDraw.Draw(mask)
    for text, middle, top, letter, weight in lines:
        if foreign:
            _draw_glyphs(mask, text, middle, top, letter, weight, rng)
        else:
            draw.text((middle, top), text, 255, font(letter), anchor="ma", stroke_width=weight)
    return mask


def _draw_glyphs(
    mask: Image.Image,
    text: str,
    middle: float,
    top: float,
    letter: int,
    weight: int,
    rng: random.Random,
) -> None:
    """Squares of strokes, one for about two letters; drawn four times as large for smooth edges."""
    count = max(1, len(text) // 2)
    large = Image.new("L", (count * letter * 4, letter * 4), 0)
    draw = ImageDraw.Draw(large)
    stroke = max(3, int(letter * 0.3)) + 3 * weight
    side = letter * 4
    for glyph in range(count):
        left = glyph * side
        if rng.random() < 0.12:
            continue

        def point(left: int = left) -> tuple[float, float]:
            return (
                left + side * rng.choice((0.12, 0.32, 0.5, 0.68, 0.88)),
                side * rng.choice((0.1, 0.3, 0.5, 0.7, 0.9)),
            )

        for _ in range(rng.randint(2, 5)):
            (x0, y0), (x1, y1) = point(), point()
            kind = rng.random()
            if kind < 0.35:
                draw.line((x0, y0, x1, y0), 255, stroke)
            elif kind < 0.7:
                draw.line((x0, y0, x0, y1), 255, stroke)
            elif kind < 0.85:
                draw.line((x0, y0, x1, y1), 255, stroke)
            else:
                box = (min(x0, x1), min(y0, y1), max(x0, x1) + 8, max(y0, y1) + 8)
                draw.arc(box, rng.randint(0, 180), rng.randint(200, 360), 255, stroke)
    small = large.resize((count * letter, letter), Image.Resampling.BOX)
    mask.paste(255, (int(middle - small.width / 2), int(top)), small)
