"""Clips made by code, of the kinds that a set of camera clips lacks.

Whoever learns from camera clips alone thinks that whatever is plain or dark is blurred, and gives
letters halos. The kinds here are what else a video may show.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from PIL import Image

from refvid.training.scenes import camera, graphics
from refvid.training.scenes.canvas import Canvas, Frames
from refvid.training.scenes.screen import screen

_DRAWN: dict[str, Callable[[Canvas, random.Random], Frames]] = {
    "plain": graphics.plain,
    "title": graphics.title,
    "screen": screen,
    "drawn": graphics.drawn,
    "stars": graphics.stars,
    "snow": camera.snow,
    "bars": graphics.bars,
    "patterns": graphics.patterns,
}

_FROM_PHOTO: dict[str, Callable[[Canvas, random.Random, Image.Image], Frames]] = {
    "subtitles": camera.subtitles,
    "grain": camera.grain,
    "faded": camera.faded,
    "dark": camera.dark,
    "letterbox": camera.letterbox,
    "pillarbox": camera.pillarbox,
    "mosaic": camera.mosaic,
}

PHOTO_KINDS = tuple(_FROM_PHOTO)
"""Those that show a photograph."""

MADE_KINDS = (*_DRAWN, *PHOTO_KINDS)
"""What `make_clip` can make."""


def make_clip(
    kind: str,
    rng: random.Random,
    size: tuple[int, int],
    frames: int,
    photo: Image.Image | None = None,
) -> Frames:
    """Make a clip by code.

    Args:
        kind: One of `MADE_KINDS`.
        rng: Draws everything: the same state gives the same clip.
        size: Width and height [pixels], even, at least 64.
        frames: Length of the clip.
        photo: RGB, for the `PHOTO_KINDS`; None makes a texture in its place.

    Returns:
        (frames, height, width, 3) uint8 RGB.

    Raises:
        ValueError: There is no such kind, or the size is odd or too small.
    """
    width, height = size
    if min(size) < 64 or width % 2 or height % 2:
        raise ValueError(f"made clips have even sides of at least 64 pixels, not {width}x{height}")
    canvas = Canvas(width, height, frames)
    if kind in _DRAWN:
        return _DRAWN[kind](canvas, rng)
    if kind not in _FROM_PHOTO:
        raise ValueError(f"{kind!r} is none of {', '.join(MADE_KINDS)}")
    if photo is None:
        photo = camera.natural_texture((width * 3 // 2, height * 3 // 2), rng)
    return _FROM_PHOTO[kind](canvas, rng, photo)
