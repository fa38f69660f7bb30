"""Made clips from photographs: as films, players and cutters show them."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from refvid.training.scenes.canvas import (
    Canvas,
    Frames,
    cloud,
    colour,
    gradient,
    moved,
    numpy_generator,
    to_frames,
)
from refvid.training.scenes.text import line_of, text_mask
from refvid.training.synthetic import moving_photo


def natural_texture(size: tuple[int, int], rng: random.Random) -> Image.Image:
    """What stands in for a photograph: things of all sizes that hide one another.

    Dead leaves: many small ones and few large ones, as in photographs, each with shading and a
    texture of its own, in one palette.
    """
    width, height = size
    generator = numpy_generator(rng)
    rough, fine = (cloud(height, width, generator, slope=slope) for slope in (1.2, 0.6))
    palette = [_muted(rng) for _ in range(5)]
    sky = gradient(Canvas(width, height, 1), palette[0], palette[1], rng)
    picture = Image.fromarray(to_frames(sky))
    texture = Image.new("L", size, rng.randint(0, 255))
    draw, draw_texture = ImageDraw.Draw(picture), ImageDraw.Draw(texture)
    smallest, largest = 2.5, min(size) * 0.4
    for _ in range(1200):
        # Radii whose numbers fall with the second power.
        radius = 1 / (1 / largest + rng.random() * (1 / smallest - 1 / largest))
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        light = rng.uniform(-30, 30)
        fill = tuple(min(255, max(0, int(c + light))) for c in rng.choice(palette))
        turn, corners = rng.uniform(0, 7), rng.choice((3, 4, 5, 6, 24, 24))
        flat = rng.uniform(0.3, 1)
        edge = [
            (
                x + radius * math.cos(turn + 2 * math.pi * c / corners),
                y + radius * flat * math.sin(turn + 2 * math.pi * c / corners),
            )
            for c in range(corners)
        ]
        draw.polygon(edge, fill)
        draw_texture.polygon(edge, rng.randint(0, 255))
    soft = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.0)))
    roughness = np.asarray(texture, np.float32)[..., None] / 255
    grain = rough[..., None] * 16 + fine[..., None] * 16 * roughness**2
    return Image.fromarray(to_frames(np.asarray(soft, np.float32) + grain))


def _muted(rng: random.Random) -> list[float]:
    """A colour such as things out of doors have."""
    grey = rng.uniform(30, 220)
    return [min(255.0, max(0.0, grey + rng.uniform(-35, 35))) for _ in range(3)]


def pan(photo: Image.Image, canvas: Canvas, rng: random.Random) -> Frames:
    """A camera path over a photograph; one much larger than the clip is shrunk before."""
    fit = min(photo.width / canvas.width, photo.height / canvas.height)
    if fit > 1.7:
        share = 1.35 / fit
        larger = (math.ceil(photo.width * share), math.ceil(photo.height * share))
        photo = photo.resize(larger, Image.Resampling.LANCZOS, reducing_gap=2.0)
        # Panoramas would cost time for what is never seen.
        width, height = (min(p, c * 2) for p, c in zip(larger, canvas.size, strict=True))
        left, top = rng.randint(0, larger[0] - width), rng.randint(0, larger[1] - height)
        photo = photo.crop((left, top, left + width, top + height))
    return moving_photo(
        photo,
        size=canvas.size,
        frames=canvas.frames,
        rng=rng,
        speed=rng.uniform(0.1, 1.2),
    )


def subtitles(canvas: Canvas, rng: random.Random, photo: Image.Image) -> Frames:
    """One line or two below a moving picture: outlined, on a box, or with a shadow."""
    clip = pan(photo, canvas, rng)
    letter = max(9, int(canvas.height * rng.uniform(0.045, 0.075)))
    style = rng.choice(("outline", "box", "shadow"))
    tint = rng.choice(((255, 255, 255), (255, 255, 255), (255, 240, 80), (230, 230, 230)))
    change = rng.randint(1, canvas.frames * 2)  # often after the end: the text stays
    foreign = rng.random() < 0.2
    shown = []
    for _ in range(2):
        count = rng.choice((1, 2, 2))
        bottom = canvas.height * rng.uniform(0.93, 0.97)
        lines = [
            (
                line_of(rng, canvas.width * rng.uniform(0.35, 0.75), letter),
                canvas.width / 2,
                bottom - letter * 1.25 * (count - row),
                letter,
                0,
            )
            for row in range(count)
        ]
        shown.append(_subtitle_layers(canvas, lines, style, rng, foreign=foreign))
    pictures = []
    for index, frame in enumerate(clip):
        under, letters = shown[int(index >= change)]
        picture = Image.fromarray(frame)
        picture.paste((0, 0, 0), (0, 0), under)
        picture.paste(tint, (0, 0), letters)
        pictures.append(np.asarray(picture))
    return np.stack(pictures)


def _subtitle_layers(
    canvas: Canvas,
    lines: list[tuple[str, float, float, int, int]],
    style: str,
    rng: random.Random,
    *,
    foreign: bool,
) -> tuple[Image.Image, Image.Image]:
    """Coverage of the black below the letters, and of the letters."""
    letters = text_mask(rng, canvas.size, lines, foreign=foreign)
    letter = lines[0][3]
    if style == "outline":
        side = 3 if letter < 16 else 5
        return letters.filter(ImageFilter.MaxFilter(side)), letters
    if style == "shadow":
        return moved(letters, canvas.size, -2, -2), letters
    under = Image.new("L", canvas.size, 0)
    box = letters.getbbox() or (0, 0, 1, 1)
    grown = (box[0] - 6, box[1] - 4, box[2] + 6, box[3] + 4)
    ImageDraw.Draw(under).rectangle(grown, rng.choice((160, 200, 255)))
    return under, letters


def grain(canvas: Canvas, rng: random.Random, photo: Image.Image) -> Frames:
    """Film grain, another in every frame; it belongs to the picture."""
    clip = pan(photo, canvas, rng).astype(np.float32)
    generator = numpy_generator(rng)
    channels = 1 if rng.random() < 0.6 else 3
    noise = generator.standard_normal((*clip.shape[:3], channels), dtype=np.float32)
    # Grains are larger than pixels: a kernel of three, along both axes.
    side = rng.uniform(0.0, 0.35)
    for axis in (1, 2):
        noise = noise * (1 - 2 * side) + side * (np.roll(noise, 1, axis) + np.roll(noise, -1, axis))
    noise /= noise.std()
    # Least in black and white, as on film.
    light = clip.mean(-1, keepdims=True) / 255
    strength = rng.uniform(3, 14) * (0.35 + 2.6 * light * (1 - light))
    return to_frames(clip + noise * strength)


def faded(canvas: Canvas, rng: random.Random, photo: Image.Image) -> Frames:
    """Low contrast throughout, or a fade from or to black or white."""
    clip = pan(photo, canvas, rng).astype(np.float32)
    if rng.random() < 0.4:
        contrast = np.full(canvas.frames, rng.uniform(0.12, 0.5))
        level = np.array(colour(rng, 40, 215)) * 0.3 + rng.uniform(30, 160)
    else:
        start, end = rng.uniform(0, 0.3), rng.uniform(0.5, 1)
        if rng.random() < 0.5:
            start, end = end, start
        contrast = start + (end - start) * np.array(canvas.moments())
        level = np.full(3, rng.choice((0.0, 0.0, 255.0)))
    return to_frames(level + (clip - level) * contrast[:, None, None, None])


def dark(canvas: Canvas, rng: random.Random, photo: Image.Image) -> Frames:
    """A photograph at a twentieth to a seventh of its brightness."""
    return to_frames(pan(photo, canvas, rng).astype(np.float32) * rng.uniform(0.05, 0.15))


def letterbox(canvas: Canvas, rng: random.Random, photo: Image.Image) -> Frames:
    """Black bars above and below a moving picture."""
    bar = int(canvas.height * rng.uniform(0.08, 0.22))
    return _barred(canvas, rng, photo, (0, bar))


def pillarbox(canvas: Canvas, rng: random.Random, photo: Image.Image) -> Frames:
    """Black bars on both sides of a moving picture."""
    bar = int(canvas.width * rng.uniform(0.08, 0.3))
    return _barred(canvas, rng, photo, (bar, 0))


def _barred(canvas: Canvas, rng: random.Random, photo: Image.Image, bar: tuple[int, int]) -> Frames:
    left, top = bar
    inner = Canvas(canvas.width - 2 * left, canvas.height - 2 * top, canvas.frames)
    clip = np.zeros((canvas.frames, canvas.height, canvas.width, 3), np.uint8)
    clip[:, top : top + inner.height, left : left + inner.width] = pan(photo, inner, rng)
    return clip


def snow(canvas: Canvas, rng: random.Random) -> Frames:
    """Nearly plain bright ground: weak texture, soft hollows, perhaps twigs and falling flakes."""
    generator = numpy_generator(rng)
    width, height = int(canvas.width * 1.3), int(canvas.height * 1.3)
    light = gradient(Canvas(width, height, 1), *_snow_lights(rng), rng)
    hollows = cloud(height, width, generator, slope=2.0) * rng.uniform(0, 9)
    crust = cloud(height, width, generator, slope=0.5) * rng.uniform(0.4, 3.5)
    ground = Image.fromarray(to_frames(light + (hollows + crust)[..., None]))
    draw = ImageDraw.Draw(ground)
    for _ in range(rng.choice((0, 0, 3, 12))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        points = [(x, y)]
        for _ in range(3):
            x, y = x + rng.uniform(-18, 18), y - rng.uniform(2, 22)
            points.append((x, y))
        draw.line(points, colour(rng, 40, 120), rng.choice((1, 1, 2)))
    corner = width * 0.12, height * 0.12
    speed = rng.uniform(-1, 1) * min(2.0, corner[0] / canvas.frames), rng.uniform(-0.5, 0.5)
    flakes = generator.uniform(0, 1, (rng.choice((0, 0, 60, 250)), 3))
    clip = []
    for index in range(canvas.frames):
        frame = moved(
            ground, canvas.size, corner[0] + speed[0] * index, corner[1] + speed[1] * index
        )
        pen = ImageDraw.Draw(frame)
        for x, y, near in flakes:
            at_x = (x * canvas.width + 2 * index * near) % canvas.width
            at_y = (y * canvas.height + (2 + 5 * near) * index) % canvas.height
            radius = 0.6 + 1.4 * near
            pen.ellipse(
                (at_x - radius, at_y - radius, at_x + radius, at_y + radius), (255, 255, 255)
            )
        clip.append(np.asarray(frame))
    return np.stack(clip)


def _snow_lights(rng: random.Random) -> tuple[list[float], list[float]]:
    """Two bright colours, the second a little further towards a blue shade."""
    bright = rng.uniform(228, 248)
    shade = rng.uniform(0, 30)
    return [bright] * 3, [bright - shade, bright - shade * 0.8, bright - shade * 0.4]


def mosaic(canvas: Canvas, rng: random.Random, photo: Image.Image) -> Frames:
    """A wall of pictures, each with a path of its own, with or without lines between them."""
    columns, rows = rng.randint(2, 4), rng.randint(2, 3)
    gap = rng.choice((0, 0, 1, 2, 4, 8))
    clip = np.empty((canvas.frames, canvas.height, canvas.width, 3), np.uint8)
    clip[:] = rng.choice(((0, 0, 0), (255, 255, 255), colour(rng)))
    across = [canvas.width * c // columns for c in range(columns + 1)]
    down = [canvas.height * r // rows for r in range(rows + 1)]
    for top, bottom in pairwise(down):
        for left, right in pairwise(across):
            tile = Canvas(right - left - gap, bottom - top - gap, canvas.frames)
            clip[:, top : top + tile.height, left : left + tile.width] = pan(
                _part(photo, rng), tile, rng
            )
    return clip


def _part(photo: Image.Image, rng: random.Random) -> Image.Image:
    """A piece of a photograph, perhaps mirrored, in another light."""
    share = rng.uniform(0.3, 0.9)
    width, height = int(photo.width * share), int(photo.height * share)
    left, top = rng.randint(0, photo.width - width), rng.randint(0, photo.height - height)
    piece = photo.crop((left, top, left + width, top + height))
    if rng.random() < 0.5:
        piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    gain = rng.uniform(0.6, 1.2)
    return piece.point([min(255, int(level * gain)) for level in range(256)] * 3)
