"""Clips made by code on which styles fail in ways of their own: fog, dark, bars, letters, drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from refvid.evaluation.rebuilding import Frames


@dataclass(frozen=True, slots=True)
class StyleCase:
    """One made clip."""

    name: str
    frames: Frames
    reference: Frames
    """What its contrast is compared with: the frames as they are without noise."""

    fixed: NDArray[np.bool_] | None = None
    """(H, W) what must come out as it is: bars and titles."""


def make_cases(frames: Frames) -> list[StyleCase]:
    """All cases, made of a clip (T, H, W, 3)."""
    makers: tuple[Callable[[Frames], StyleCase], ...] = (
        _fog, _dark, _letterbox, _titles, _subtitles, _cartoon,
    )  # fmt: skip
    return [make(frames) for make in makers]


def _fog(frames: Frames) -> StyleCase:
    """An eighth of the contrast, and light gray over it."""
    foggy: NDArray[np.float32] = ((frames - frames.mean()) / 8 + 170).astype(np.float32)
    return StyleCase("fog", _noisy(foggy, 1, seed=0), frames)


def _dark(frames: Frames) -> StyleCase:
    """An eighth of the light, and a sensor's noise."""
    faint: NDArray[np.float32] = (frames / 8 + 8).astype(np.float32)
    return StyleCase("dark", _noisy(faint, 5, seed=1), frames)


def _letterbox(frames: Frames) -> StyleCase:
    """An eighth of the height is black above, and as much below."""
    bar = frames.shape[1] // 64 * 8
    barred = frames.copy()
    fixed = np.zeros(frames.shape[1:3], np.bool_)
    fixed[:bar] = fixed[-bar:] = True
    barred[:, fixed] = 0
    return StyleCase("letterbox", barred, barred, fixed)


def _titles(frames: Frames) -> StyleCase:
    """White letters on black."""
    height, width = frames.shape[1:3]
    page = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(page)
    for line, (text, share) in enumerate((("THE END", 6), ("a film by nobody", 16))):
        font = ImageFont.load_default(max(8, height // share))
        place = (width // 2, round(height * (0.4 + 0.2 * line)))
        pen.text(place, text, "white", font, anchor="mm")
    titles = np.stack([np.asarray(page)] * len(frames))
    return StyleCase("titles", titles, titles, np.ones((height, width), np.bool_))


def _subtitles(frames: Frames) -> StyleCase:
    """A white and a yellow line with a dark outline, over the clip."""
    height, width = frames.shape[1:3]
    over = Image.new("RGB", (width, height))
    strokes = Image.new("L", (width, height))
    outlined = Image.new("L", (width, height))
    font = ImageFont.load_default(max(8, height // 17))
    lines = (("I saw the painter on the bridge,", "white"), ("and she was gone at once.", "yellow"))
    for line, (text, colour) in enumerate(lines):
        place = (width // 2, round(height * (0.82 + 0.09 * line)))
        ImageDraw.Draw(over).text(place, text, colour, font, anchor="mm")
        ImageDraw.Draw(strokes).text(place, text, 255, font, anchor="mm")
        ImageDraw.Draw(outlined).text(place, text, 255, font, anchor="mm", stroke_width=2)
    share = np.asarray(outlined)[..., None] / 255
    written = np.rint(frames * (1 - share) + np.asarray(over) * share).astype(np.uint8)
    return StyleCase("subtitles", written, written, np.asarray(strokes) > 127)


def _cartoon(frames: Frames) -> StyleCase:
    """A face of flat colours with a dark outline, moving before a sky and a meadow."""
    height, width = frames.shape[1:3]
    radius = height // 4
    drawn = []
    for t in range(len(frames)):
        page = Image.new("RGB", (width, height), (120, 190, 240))
        pen = ImageDraw.Draw(page)
        pen.rectangle((0, height * 0.7, width, height), (90, 170, 80))
        x, y = width // 3 + 3 * t, height // 2
        box = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(box, (250, 210, 80), (20, 20, 20), max(2, radius // 18))
        for side in (-1, 1):
            eye_x, eye_y, size = x + side * radius // 3, y - radius // 4, radius // 8
            pen.ellipse((eye_x - size, eye_y - size, eye_x + size, eye_y + size), (20, 20, 20))
        mouth = (x - radius // 2, y, x + radius // 2, y + radius // 2)
        pen.chord(mouth, 0, 180, (150, 40, 40))
        drawn.append(np.asarray(page))
    clip = np.stack(drawn)
    return StyleCase("cartoon", clip, clip)


def _noisy(frames: NDArray[np.float32], strength: float, seed: int) -> Frames:
    """Noise of so many levels; the stream of this generator never changes."""
    noise = np.random.RandomState(seed).standard_normal(frames.shape)
    return np.clip(np.rint(frames + strength * noise), 0, 255).astype(np.uint8)
