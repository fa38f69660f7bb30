"""Made clips without a camera: plain grounds, titles, cartoons, stars, test cards, patterns."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from refvid.training.scenes.canvas import (
    Canvas,
    Colour,
    Frames,
    Plane,
    cloud,
    colour,
    gradient,
    moved,
    numpy_generator,
    to_frames,
)
from refvid.training.scenes.text import line_of, text_mask


def plain(canvas: Canvas, rng: random.Random) -> Frames:
    """White, black, one colour, or a gentle gradient; some change slowly."""
    kind = rng.random()
    first = colour(rng)
    if kind < 0.2:
        first = (255, 255, 255)
    elif kind < 0.35:
        first = (0, 0, 0)
    last = [float(c) for c in first]
    if kind > 0.6:
        last = [min(255.0, max(0.0, c + rng.uniform(-60, 60))) for c in first]
    ground = gradient(canvas, first, last, rng)
    if kind > 0.6 and rng.random() < 0.5:  # dithered, as by a good converter
        ground = ground + numpy_generator(rng).uniform(-0.5, 0.5, ground.shape)
    drift = np.array([rng.uniform(-12, 12) for _ in range(3)]) * (rng.random() < 0.3)
    return to_frames([ground + drift * moment for moment in canvas.moments()])


def title(canvas: Canvas, rng: random.Random) -> Frames:
    """Text on a ground: still, fading, scrolling as credits do, crawling, or growing."""
    ground, ink = _title_ground(canvas, rng)
    mode = rng.choice(("still", "fade", "scroll", "crawl", "grow"))
    size = {
        "scroll": (canvas.width, canvas.height * 2),
        "crawl": (canvas.width * 2, canvas.height),
    }.get(mode, canvas.size)
    mask, tint = _title_text(size, canvas, ink, rng, credits=mode == "scroll")
    # Half of all rolls move by whole pixels, as good ones do.
    speed = float(rng.randint(1, 6)) if rng.random() < 0.5 else rng.uniform(0.4, 6.0)
    start, end = rng.choice(((0.0, 1.0), (1.0, 0.0), (0.3, 1.0), (1.0, 0.4)))
    growth = rng.uniform(-0.05, 0.05)
    clip = []
    for index, moment in enumerate(canvas.moments()):
        x = y = 0.0
        scale, strength = 1.0, 1.0
        if mode == "scroll":
            y = canvas.height * 0.3 + speed * index
        elif mode == "crawl":
            x = canvas.width * 0.3 + speed * index
        elif mode == "grow":
            scale = 1 + growth * moment
            x, y = (1 - scale) * canvas.width / 2, (1 - scale) * canvas.height / 2
        elif mode == "fade":
            strength = start + (end - start) * moment
        ink_here = np.asarray(moved(mask, canvas.size, x, y, scale), np.float32)[..., None]
        tints = np.asarray(moved(tint, canvas.size, x, y, scale), np.float32)
        clip.append(ground + (tints - ground) * ink_here * (strength / 255))
    return to_frames(clip)


def _title_ground(canvas: Canvas, rng: random.Random) -> tuple[Plane, tuple[int, int]]:
    """The ground, and the range of colours that can be read on it."""
    kind = rng.random()
    if kind < 0.35:
        ground = gradient(canvas, (0, 0, 0), (0, 0, 0), rng)
    elif kind < 0.6:
        ground = gradient(canvas, colour(rng, 0, 60), colour(rng, 0, 80), rng)
    elif kind < 0.85:
        ground = gradient(canvas, colour(rng, 20, 150), colour(rng, 20, 150), rng)
    else:
        return gradient(canvas, colour(rng, 215, 255), colour(rng, 225, 255), rng), (0, 90)
    return ground, (190, 255)


def _title_text(
    size: tuple[int, int],
    canvas: Canvas,
    ink: tuple[int, int],
    rng: random.Random,
    *,
    credits: bool,  # noqa: A002  # what they are called
) -> tuple[Image.Image, Image.Image]:
    """Coverage of the lines, and their colours in bands across the picture."""
    tint = Image.new("RGB", size, (ink[1],) * 3)
    draw = ImageDraw.Draw(tint)
    lines = []
    top = rng.uniform(0.02, 0.3) * canvas.height
    level = 0 if credits else rng.randint(0, 2)
    while top < size[1] * 0.97:
        shares = (0.03, 0.06) if credits or level else (0.09, 0.2)
        letter = max(8, int(canvas.height * rng.uniform(*shares)))
        text = line_of(rng, size[0] * rng.uniform(0.25, 0.8), letter)
        weight = rng.choice((0, 0, 0, 1, 1, 2)) if letter > 16 else 0
        lines.append((text, size[0] / 2, top, letter, weight))
        if rng.random() < 0.3:
            draw.rectangle((0, top - 4, size[0], top + letter * 1.3), colour(rng, *ink))
        top += letter * rng.uniform(1.2, 1.9)
        level += 1
        if not credits and level > 3 and rng.random() < 0.5:
            break
    return text_mask(rng, size, lines, foreign=rng.random() < 0.25), tint


def drawn(canvas: Canvas, rng: random.Random) -> Frames:
    """Flat coloured shapes with outlines in front of hills, moving: a cartoon."""
    outline = (0, 0, 0) if rng.random() < 0.7 else colour(rng, 0, 80)
    line = rng.choice((0, 1, 2, 2, 3, 4))
    backdrop = _backdrop(canvas, rng, outline, line)
    reach = min(3.0, canvas.width * 0.2 / canvas.frames)
    pan = rng.uniform(-reach, reach) if rng.random() < 0.6 else 0.0
    # Cartoons are drawn on twos or threes: shapes rest while the camera may go on.
    hold = rng.choice((1, 1, 2, 3))
    figures = [_figure(canvas, rng, outline, line) for _ in range(rng.randint(2, 6))]
    clip = []
    for index in range(canvas.frames):
        size = (canvas.width * 2, canvas.height * 2)
        picture = moved(backdrop, size, canvas.width * 0.5 + pan * index * 2, 0)
        draw = ImageDraw.Draw(picture)
        for figure in figures:
            figure(draw, index // hold * hold)
        clip.append(np.asarray(picture.reduce(2)))
    return np.stack(clip)


def _backdrop(canvas: Canvas, rng: random.Random, outline: Colour, line: int) -> Image.Image:
    """Sky, sun and rows of hills, one and a half times as wide; doubled in size."""
    width, height = canvas.width * 3, canvas.height * 2
    picture = Image.new("RGB", (width, height), colour(rng, 100, 255))
    draw = ImageDraw.Draw(picture)
    for band in range(rng.randint(0, 3)):
        draw.rectangle((0, height * band // 6, width, height), colour(rng, 100, 255))
    radius = height * rng.uniform(0.05, 0.15)
    x, y = rng.uniform(0, width), height * rng.uniform(0.1, 0.4)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour(rng, 150), outline, line)
    for row in range(rng.randint(1, 4)):
        base = height * (0.45 + 0.15 * row)
        pitches = [rng.uniform(1, 9) for _ in range(2)]
        waves = [(rng.uniform(0.1, 0.25) / (1 + f), f, rng.uniform(0, 6)) for f in pitches]
        ridge = [
            (x, base + sum(height * a * math.sin(f * x / width * 6 + p) for a, f, p in waves))
            for x in range(-8, width + 8, 8)
        ]
        draw.polygon([*ridge, (width + 8, height + 8), (-8, height + 8)], colour(rng, 30, 220))
        if line:
            draw.line(ridge, outline, line * 2)
    return picture


def _figure(
    canvas: Canvas, rng: random.Random, outline: Colour, line: int
) -> Callable[[ImageDraw.ImageDraw, int], None]:
    """A body that turns as it goes, perhaps with eyes and stripes; draws itself at a frame."""
    side = canvas.height * rng.uniform(0.12, 0.4) * 2
    place = rng.uniform(0.1, 0.9) * canvas.width * 2, rng.uniform(0.3, 0.9) * canvas.height * 2
    speed = rng.uniform(-8, 8), rng.uniform(-3, 3)
    turn, swing = rng.uniform(-0.04, 0.04), rng.uniform(0, 0.1)
    corners = rng.choice((3, 4, 5, 6, 8, 40, 40))
    radii = [rng.uniform(0.75, 1.1) if corners < 40 else 1.0 for _ in range(corners)]
    stretch = rng.uniform(0.5, 1.0)
    body, inner, pupil = colour(rng), colour(rng), colour(rng, 0, 60)
    has_eyes, has_patch = rng.random() < 0.6, rng.random() < 0.5

    def draw_at(draw: ImageDraw.ImageDraw, index: int) -> None:
        x, y = place[0] + speed[0] * index, place[1] + speed[1] * index
        angle = turn * index + swing * math.sin(index * 0.7)
        cos, sin = math.cos(angle) * side / 2, math.sin(angle) * side / 2

        def at(right: float, down: float) -> tuple[float, float]:
            return x + cos * right * stretch - sin * down, y + sin * right * stretch + cos * down

        def circle(right: float, down: float, radius: float, fill: Colour) -> None:
            (cx, cy), r = at(right, down), radius * side / 2
            draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill, outline, line)

        edge = [
            at(r * math.cos(2 * math.pi * c / corners), r * math.sin(2 * math.pi * c / corners))
            for c, r in enumerate(radii)
        ]
        draw.polygon(edge, body)
        if has_patch:
            draw.polygon([at(0.45, 0.2), at(0, 0.7), at(-0.45, 0.2)], inner)
        if line:
            draw.line([*edge, edge[0], edge[1]], outline, line * 2, joint="curve")
        if has_eyes:
            for right in (-0.35, 0.35):
                circle(right, -0.3, 0.2, (255, 255, 255))
                circle(right + 0.05, -0.28, 0.08, pupil)

    return draw_at


def stars(canvas: Canvas, rng: random.Random) -> Frames:
    """A night sky: small points of many magnitudes that turn slowly, perhaps above a horizon."""
    generator = numpy_generator(rng)
    count = int(canvas.width * canvas.height / rng.uniform(150, 900))
    reach = math.hypot(canvas.width, canvas.height)
    places = generator.uniform(-reach / 2, reach / 2, (count, 2))
    peak = np.minimum(rng.uniform(25, 70) * (generator.pareto(1.2, count) + 0.4), 500.0)
    warmth = generator.normal(0, 0.12, (count, 1)) * np.array([1.0, 0.0, -1.0])
    tints = peak[:, None] * (1 + warmth)
    sigma = rng.uniform(0.45, 0.9) + 0.25 * (peak > 200)
    ground = gradient(canvas, colour(rng, 0, 8), colour(rng, 0, 24), rng)
    if rng.random() < 0.4:
        glow = np.maximum(cloud(canvas.height, canvas.width, generator, slope=1.8), 0)
        ground = ground + glow[..., None] * np.array([rng.uniform(1, 9) for _ in range(3)])
    skyline = _skyline(canvas, rng) if rng.random() < 0.4 else None
    drift, turn = (rng.uniform(-1.2, 1.2), rng.uniform(-1.2, 1.2)), rng.uniform(-0.004, 0.004)
    clip = []
    for index in range(canvas.frames):
        angle = turn * index
        x = places[:, 0] * math.cos(angle) - places[:, 1] * math.sin(angle)
        y = places[:, 0] * math.sin(angle) + places[:, 1] * math.cos(angle)
        x, y = x + canvas.width / 2 + drift[0] * index, y + canvas.height / 2 + drift[1] * index
        frame = ground + _points(canvas, x, y, tints, sigma)
        clip.append(frame if skyline is None else frame * skyline)
    return to_frames(clip)


def _points(canvas: Canvas, x: Plane, y: Plane, tints: Plane, sigma: Plane) -> Plane:
    """Gaussian spots at fractions of pixels, (H, W, 3)."""
    sky = np.zeros((canvas.height, canvas.width, 3))
    offsets = np.arange(-3, 4)  # what lies beyond is too faint to be seen
    columns = np.floor(x).astype(int)[:, None] + offsets  # (N, K)
    rows = np.floor(y).astype(int)[:, None] + offsets
    across = np.exp(-((columns - x[:, None]) ** 2) / (2 * sigma[:, None] ** 2))
    down = np.exp(-((rows - y[:, None]) ** 2) / (2 * sigma[:, None] ** 2))
    light = (down[:, :, None] * across[:, None, :])[..., None] * tints[:, None, None, :]
    at_row, at_column = np.broadcast_arrays(rows[:, :, None], columns[:, None, :])
    inside = (
        (at_row >= 0) & (at_row < canvas.height) & (at_column >= 0) & (at_column < canvas.width)
    )
    np.add.at(sky, (at_row[inside], at_column[inside]), light[inside])
    return sky


def _skyline(canvas: Canvas, rng: random.Random) -> Plane:
    """1 above a black ridge and 0 in it, (H, W, 1)."""
    mask = Image.new("L", canvas.size, 255)
    ridge, y = [], canvas.height * rng.uniform(0.75, 0.95)
    step = max(4, canvas.width // rng.randint(8, 40))
    for x in range(-step, canvas.width + 2 * step, step):
        y = min(canvas.height * 1.0, max(canvas.height * 0.6, y + rng.uniform(-1, 1) * step * 0.5))
        ridge.append((float(x), y))
    below = [(canvas.width + 2.0 * step, canvas.height + 9.0), (-float(step), canvas.height + 9.0)]
    ImageDraw.Draw(mask).polygon([*ridge, *below], 0)
    return np.asarray(mask, np.float32)[..., None] / 255


_BARS = np.array(
    [(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0)]
)


def bars(canvas: Canvas, rng: random.Random) -> Frames:
    """Colour bars of a test card, with ramps, grey steps or a moving mark below."""
    width, height = canvas.size
    level = rng.choice((191, 191, 255, 180))
    colours = _BARS[: rng.choice((7, 8))] * level
    edges = np.arange(width) * len(colours) // width
    frame = np.repeat(colours[edges][None], height, 0).astype(np.float32)
    split = int(height * rng.uniform(0.6, 0.8))
    kind = rng.choice(("whole", "castellations", "ramp", "steps", "card"))
    if kind == "castellations":
        frame[split : split + height // 12] = colours[::-1][edges]
        frame[split + height // 12 :] = 19
        boxes = [(0, 33, 76), (255, 255, 255), (50, 0, 106), (19, 19, 19), (9, 9, 9), (29, 29, 29)]
        for box, tint in enumerate(boxes):
            left = width * box // len(boxes)
            frame[split + height // 12 :, left : width * (box + 1) // len(boxes)] = tint
    elif kind == "ramp":
        frame[split:] = np.linspace(0, 255, width, dtype=np.float32)[None, :, None]
    elif kind == "steps":
        steps = rng.randint(5, 16)
        frame[split:] = (np.arange(width) * steps // width * (255 / (steps - 1)))[None, :, None]
    picture = Image.fromarray(to_frames(frame))
    if kind == "card":
        draw = ImageDraw.Draw(picture)
        step = height // rng.randint(6, 14)
        for line in range(0, max(width, height), step):
            draw.line((line, 0, line, height), (255, 255, 255))
            draw.line((0, line, width, line), (255, 255, 255))
        radius = height * 0.42
        draw.circle((width / 2, height / 2), radius, None, (255, 255, 255), 2)
    label = rng.random() < 0.5
    sweep = rng.uniform(2, 12) if rng.random() < 0.4 else 0.0
    start = rng.uniform(0.1, 0.6) * width
    mask = text_mask(
        rng, canvas.size, [(line_of(rng, width * 0.3, 18), width / 2, height * 0.45, 18, 0)]
    )
    clip = []
    for index in range(canvas.frames):
        shown = picture.copy()
        if label:
            ImageDraw.Draw(shown).rectangle(
                (width * 0.3, height * 0.43, width * 0.7, height * 0.43 + 28), (0, 0, 0)
            )
            shown.paste((255, 255, 255), (0, 0), mask)
        if sweep:
            x = int(start + sweep * index)
            ImageDraw.Draw(shown).rectangle((x, split, x + 3, height), (255, 255, 255))
        clip.append(np.asarray(shown))
    return np.stack(clip)


def patterns(canvas: Canvas, rng: random.Random) -> Frames:
    """Checkers, thin lines, rings, dots: what only exact positions bring back."""
    y, x = np.mgrid[0 : canvas.height, 0 : canvas.width].astype(np.float32)
    kind = rng.choice(("checker", "lines", "grating", "rings", "dots", "grid"))
    period = rng.choice((2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, rng.uniform(3, 24)))
    angle = rng.choice((0.0, math.pi / 2, rng.uniform(0, math.pi)))
    moving = rng.random() < 0.6
    speed = (rng.uniform(-2, 2), rng.uniform(-2, 2)) if moving else (0.0, 0.0)
    if rng.random() < 0.4:
        low, high = np.zeros(3), np.full(3, 255.0)
    else:
        low, high = np.array(colour(rng, 0, 140)), np.array(colour(rng, 110, 255))
    cos, sin = math.cos(angle), math.sin(angle)
    middle = rng.uniform(0.2, 0.8) * canvas.width, rng.uniform(0.2, 0.8) * canvas.height
    clip = []
    for index in range(canvas.frames):
        at_x, at_y = x - speed[0] * index, y - speed[1] * index
        u, v = at_x * cos + at_y * sin, at_y * cos - at_x * sin
        wave_u, wave_v = (np.sin((w + 0.5) * (2 * math.pi / period)) for w in (u, v))
        # Edges are about a pixel wide, as those of a sampled picture.
        steep = period / 2.2
        if kind == "checker":
            share = np.clip(wave_u * wave_v * steep, -1, 1) / 2 + 0.5
        elif kind == "lines":
            share = np.clip((wave_u - 0.6) * steep, 0, 1)
        elif kind == "grating":
            share = wave_u / 2 + 0.5
        elif kind == "rings":
            far = (at_x - middle[0]) ** 2 + (at_y - middle[1]) ** 2
            share = np.cos(far * (math.pi / (period * canvas.height))) / 2 + 0.5
        elif kind == "dots":
            share = np.clip((wave_u + wave_v - 0.5) * steep / 2, 0, 1)
        else:
            share = np.clip((np.maximum(wave_u, wave_v) - 0.8) * steep * 2, 0, 1)
        clip.append(low + share[..., None] * (high - low))
    return to_frames(clip)
