"""What every made clip is drawn on, and how its parts move."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frames = NDArray[np.uint8]
"""(T, H, W, 3) RGB."""

Plane = NDArray[np.floating[Any]]
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Canvas:
    """Size and length of a clip."""

    width: int
    height: int
    frames: int

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    def moments(self) -> list[float]:
        """Where each frame lies between the first one (0) and the last (1)."""
        return [index / max(1, self.frames - 1) for index in range(self.frames)]


def colour(rng: random.Random, low: int = 0, high: int = 255) -> Colour:
    """A colour whose parts lie in that range."""
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def gradient(
    canvas: Canvas, first: Sequence[float], last: Sequence[float], rng: random.Random
) -> Plane:
    """(H, W, 3) from one colour to another, along a line or around a point."""
    y, x = np.mgrid[0 : canvas.height, 0 : canvas.width].astype(np.float32)
    if rng.random() < 0.7:
        angle = rng.uniform(0, 2 * math.pi)
        place = x * math.cos(angle) + y * math.sin(angle)
    else:
        place = np.hypot(x - rng.random() * canvas.width, y - rng.random() * canvas.height)
    place = (place - place.min()) / max(1e-6, float(np.ptp(place)))
    ends = np.array([first, last], np.float32)
    graded: Plane = ends[0] + place[..., None] * (ends[1] - ends[0])
    return graded


def to_frames(clip: Plane | Sequence[Plane]) -> Frames:
    """Round what was computed."""
    return np.asarray(clip).round().clip(0, 255).astype(np.uint8)


def moved(
    picture: Image.Image, size: tuple[int, int], x: float, y: float, scale: float = 1.0
) -> Image.Image:
    """The window of that size whose corner lies at (x, y), to a fraction of a pixel."""
    return picture.transform(
        size,
        Image.Transform.AFFINE,
        (scale, 0.0, x, 0.0, scale, y),
        resample=Image.Resampling.BICUBIC,
    )


def cloud(height: int, width: int, generator: np.random.Generator, *, slope: float = 1.0) -> Plane:
    """Noise with a spectrum that falls with frequency to the `slope`, of standard deviation 1."""
    white = np.fft.rfft2(generator.standard_normal((height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(white / frequency**slope, s=(height, width))
    clouds: Plane = (noise / noise.std()).astype(np.float32)
    return clouds


def numpy_generator(rng: random.Random) -> np.random.Generator:
    """For noise: as determined as the other one is."""
    return np.random.default_rng(rng.getrandbits(63))
