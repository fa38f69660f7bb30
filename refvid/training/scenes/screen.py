"""Screen recordings: windows, small text, icons and thin lines, of which little moves."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from refvid.training.scenes.canvas import Canvas, Colour, Frames, colour, gradient, to_frames
from refvid.training.scenes.text import font, line_of, words


@dataclass(frozen=True, slots=True)
class _Theme:
    paper: Colour
    ink: Colour
    bar: Colour
    line: Colour
    accent: Colour


def screen(canvas: Canvas, rng: random.Random) -> Frames:
    """A desktop whose front window scrolls, or over which the cursor moves, or both."""
    theme = _theme(rng)
    desk = Image.fromarray(to_frames(gradient(canvas, colour(rng, 0, 200), colour(rng), rng)))
    draw = ImageDraw.Draw(desk)
    for row in range(rng.randint(0, 6)):
        _icon(draw, (10, 10 + row * 44), 22, rng)
        draw.text((4, 34 + row * 44), words(rng, 1)[:7], (255, 255, 255), font(8))
    for _ in range(rng.randint(0, 2)):
        box = _window_box(canvas, rng)
        inside = _frame_window(desk, box, theme, rng)
        desk.paste(_content(_extent(inside), theme, rng), inside[:2])
    box = _window_box(canvas, rng, large=True)
    if rng.random() < 0.3:
        box = (0, 0, canvas.width, canvas.height - 16)
    inside = _frame_window(desk, box, theme, rng)
    width, height = _extent(inside)
    page = _content((width, height * 3), theme, rng)
    draw.rectangle((0, canvas.height - 16, canvas.width, canvas.height), theme.bar)
    for place in range(rng.randint(3, 8)):
        _icon(draw, (6 + place * 20, canvas.height - 14), 12, rng)
    draw.text((canvas.width - 34, canvas.height - 14), "12:34", theme.ink, font(10))
    step = rng.choice((0, 0, 1, 2, 3, 5, 8))
    start, way = rng.randint(0, height), rng.choice((-1, 1))
    cursor = rng.uniform(0.2, 0.8) * canvas.width, rng.uniform(0.2, 0.8) * canvas.height
    speed = rng.uniform(-9, 9), rng.uniform(-6, 6)
    clip = []
    for index in range(canvas.frames):
        shown = desk.copy()
        top = min(max(0, start + way * step * index), height * 2)
        shown.paste(page.crop((0, top, width, top + height)), inside[:2])
        _cursor(shown, cursor[0] + speed[0] * index, cursor[1] + speed[1] * index)
        clip.append(np.asarray(shown))
    return np.stack(clip)


def _theme(rng: random.Random) -> _Theme:
    accent = colour(rng, 30, 220)
    if rng.random() < 0.6:
        level = rng.randint(243, 255)
        return _Theme((level,) * 3, colour(rng, 0, 70), colour(rng, 205, 240), (200,) * 3, accent)
    return _Theme(
        colour(rng, 20, 45), colour(rng, 190, 240), colour(rng, 40, 70), (80,) * 3, accent
    )


def _window_box(
    canvas: Canvas, rng: random.Random, *, large: bool = False
) -> tuple[int, int, int, int]:
    low, high = (0.55, 0.9) if large else (0.35, 0.7)
    width, height = (
        int(canvas.width * rng.uniform(low, high)),
        int(canvas.height * rng.uniform(low, high)),
    )
    left, top = rng.randint(0, canvas.width - width), rng.randint(0, canvas.height - height)
    return left, top, left + width, top + height


def _extent(box: tuple[int, int, int, int]) -> tuple[int, int]:
    return max(1, box[2] - box[0]), max(1, box[3] - box[1])


def _frame_window(
    desk: Image.Image, box: tuple[int, int, int, int], theme: _Theme, rng: random.Random
) -> tuple[int, int, int, int]:
    """Draw border, title bar and tools; the box of what is inside them."""
    draw = ImageDraw.Draw(desk)
    left, top, right, bottom = box
    draw.rectangle((left, top, right - 1, bottom - 1), theme.paper, theme.line)
    draw.rectangle((left, top, right - 1, top + 17), theme.bar, theme.line)
    draw.text((left + 50, top + 2), line_of(rng, (right - left) * 0.3, 10), theme.ink, font(10))
    for button, fill in enumerate(((237, 106, 94), (245, 191, 79), (98, 197, 84))):
        x = left + 6 + button * 13
        draw.ellipse((x, top + 5, x + 8, top + 13), fill)
    top += 18
    if rng.random() < 0.6:
        draw.rectangle((left, top, right - 1, top + 19), theme.bar, theme.line)
        for tool in range(min(12, (right - left) // 22)):
            _icon(draw, (left + 6 + tool * 20, top + 3), 13, rng)
        top += 20
    return left + 1, top, right - 1, bottom - 1


def _icon(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], side: int, rng: random.Random
) -> None:
    x, y = corner
    box = (x, y, x + side, y + side)
    fill, edge = colour(rng), colour(rng, 0, 90)
    shape = rng.randrange(4)
    if shape == 0:
        draw.rounded_rectangle(box, side // 4, fill, edge)
    elif shape == 1:
        draw.ellipse(box, fill, edge)
    elif shape == 2:
        draw.polygon([(x, y + side), (x + side / 2, y), (x + side, y + side)], fill, edge)
    else:
        draw.rectangle(box, None, edge)
        for line in range(3, side, 4):
            draw.line((x + 3, y + line, x + side - 3, y + line), edge)


def _content(size: tuple[int, int], theme: _Theme, rng: random.Random) -> Image.Image:
    page = Image.new("RGB", size, theme.paper)
    draw = ImageDraw.Draw(page)
    rng.choice((_prose, _code, _table, _chart))(draw, size, theme, rng)
    return page


def _prose(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], theme: _Theme, rng: random.Random
) -> None:
    letter, y = rng.randint(9, 14), 6
    while y < size[1]:
        heading = rng.random() < 0.1
        here = letter + 6 if heading else letter
        share = rng.uniform(0.2, 0.5) if heading else rng.choice((0.85, 0.9, 0.95, 0.5))
        ink = theme.accent if heading or rng.random() < 0.05 else theme.ink
        draw.text((8, y), line_of(rng, size[0] * share, here), ink, font(here))
        y += int(here * 1.35) + (6 if rng.random() < 0.15 else 0)


def _code(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], theme: _Theme, rng: random.Random
) -> None:
    letter, indent = rng.randint(9, 12), 0
    tints = [theme.ink, theme.accent, colour(rng, 60, 200), colour(rng, 60, 200)]
    for number, y in enumerate(range(4, size[1], letter + 4)):
        draw.text((3, y), str(number + 1), theme.line, font(letter))
        indent = min(5, max(0, indent + rng.choice((-1, 0, 0, 1))))
        x = 28.0 + indent * 14
        for _ in range(rng.randint(0, 5)):
            word = words(rng, 1) + rng.choice(("(", ")", " =", ":", "", "[0]"))
            draw.text((x, y), word, rng.choice(tints), font(letter))
            x += draw.textlength(word + " ", font(letter))
    draw.line((24, 0, 24, size[1]), theme.line)


def _table(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], theme: _Theme, rng: random.Random
) -> None:
    column, row = rng.randint(40, 80), rng.randint(14, 20)
    for place, y in enumerate(range(0, size[1], row)):
        if place % 2 and rng.random() < 0.9:
            draw.rectangle((0, y, size[0], y + row), theme.bar)
        draw.line((0, y, size[0], y), theme.line)
        for x in range(0, size[0], column):
            draw.text((x + 3, y + 2), words(rng, 1)[: column // 7], theme.ink, font(10))
    for x in range(0, size[0], column):
        draw.line((x, 0, x, size[1]), theme.line)


def _chart(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], theme: _Theme, rng: random.Random
) -> None:
    high = rng.randint(70, 120)
    for top in range(4, size[1], high + 24):
        bottom = top + high
        for tick in range(5):
            y = top + high * tick // 4
            draw.line((26, y, size[0] - 6, y), theme.line)
            draw.text((3, y - 5), str(100 - 25 * tick), theme.ink, font(8))
        draw.line((26, top, 26, bottom), theme.ink)
        for tint in (theme.accent, colour(rng, 30, 220)):
            level, curve = rng.random() * high, []
            for x in range(26, size[0] - 6, 4):
                level = min(high, max(0, level + rng.uniform(-8, 8)))
                curve.append((x, bottom - level))
            if len(curve) > 1:
                draw.line(curve, tint, rng.randint(1, 2))
        draw.text((30, bottom + 4), line_of(rng, size[0] * 0.7, 9), theme.ink, font(9))


_ARROW = ((0, 0), (0, 16), (4, 12), (7, 18), (9, 17), (6, 11), (11, 11))


def _cursor(picture: Image.Image, x: float, y: float) -> None:
    corner = (round(x), round(y))
    shape = [(corner[0] + right, corner[1] + down) for right, down in _ARROW]
    ImageDraw.Draw(picture).polygon(shape, (255, 255, 255), (0, 0, 0))
