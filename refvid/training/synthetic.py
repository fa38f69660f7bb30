"""Clips from photographs: a camera path over a picture, with a moving layer in front."""

from __future__ import annotations

import math
import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Frames = NDArray[np.uint8]


def moving_photo(
    photo: Image.Image,
    *,
    size: tuple[int, int],
    frames: int,
    rng: random.Random,
    foreground: Image.Image | None = None,
    speed: float = 1.0,
) -> Frames:
    """Turn a photograph into a clip by a smooth random camera path.

    Args:
        photo: RGB; larger than `size` in both directions looks best.
        size: Width and height of the clip [pixels].
        frames: Length of the clip.
        rng: Draws path, zoom, rotation and the layer.
        foreground: Another photograph, shown through a soft blob that moves on a path of its own.
        speed: 1 is up to about 1 % of the width per frame.

    Returns:
        (frames, height, width, 3) uint8 RGB.
    """
    path = _CameraPath(photo.size, size, rng, speed)
    layer = _MovingLayer(foreground, size, rng, speed) if foreground is not None else None
    clip = []
    for index in range(frames):
        picture = path.render(photo, index, frames)
        if layer is not None:
            picture = layer.draw(picture, index, frames)
        clip.append(np.asarray(picture))
    return np.stack(clip)


def _ease(rng: random.Random, amplitude: float) -> tuple[float, float, float]:
    """Linear drift, plus amplitude and phase of one slow swing around it."""
    return rng.uniform(-1, 1) * amplitude, rng.uniform(0, 0.4) * amplitude, rng.uniform(0, 6.3)


def _position(parameters: tuple[float, float, float], index: int, frames: int) -> float:
    drift, swing, phase = parameters
    moment = index / max(1, frames - 1)
    return drift * (moment - 0.5) + swing * math.sin(phase + 4 * moment)


class _CameraPath:
    """Translation, zoom and rotation of the window that looks at a photograph."""

    def __init__(
        self, photo: tuple[int, int], size: tuple[int, int], rng: random.Random, speed: float
    ) -> None:
        self.size = size
        # Pixels of the photograph per pixel of the clip: 1 keeps its sharpness.
        fit = min(photo[0] / size[0], photo[1] / size[1])
        self.zoom = min(fit, 1.0) if fit < 1.25 else rng.uniform(0.9, min(fit, 1.6) / 1.15)
        slack = [max(0.0, p - s * self.zoom) for p, s in zip(photo, size, strict=True)]
        self.center = [
            p / 2 + rng.uniform(-0.25, 0.25) * s for p, s in zip(photo, slack, strict=True)
        ]
        reach = size[0] * 0.24 * speed
        self.x = _ease(rng, min(reach, slack[0] * 0.6))
        self.y = _ease(rng, min(reach * 0.5, slack[1] * 0.6))
        self.scale = _ease(rng, 0.12 * speed)
        self.angle = _ease(rng, 0.08 * speed)

    def render(self, photo: Image.Image, index: int, frames: int) -> Image.Image:
        scale = self.zoom * math.exp(_position(self.scale, index, frames))
        angle = _position(self.angle, index, frames)
        cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
        x = self.center[0] + _position(self.x, index, frames)
        y = self.center[1] + _position(self.y, index, frames)
        half_width, half_height = self.size[0] / 2, self.size[1] / 2
        matrix = (
            cos, -sin, x - cos * half_width + sin * half_height,
            sin, cos, y - sin * half_width - cos * half_height,
        )  # fmt: skip
        return _transform_reflected(photo, self.size, matrix)


def _transform_reflected(
    photo: Image.Image, size: tuple[int, int], matrix: tuple[float, ...]
) -> Image.Image:
    """Affine transform; a border of mirrored pixels keeps black corners out."""
    margin = max(size) // 2
    pixels = np.pad(np.asarray(photo), ((margin, margin), (margin, margin), (0, 0)), "reflect")
    a, b, c, d, e, f = matrix
    return Image.fromarray(pixels).transform(
        size,
        Image.Transform.AFFINE,
        (a, b, c + margin, d, e, f + margin),
        resample=Image.Resampling.BICUBIC,
    )


class _MovingLayer:
    """A soft-edged piece of another photograph that crosses the picture."""

    def __init__(
        self, photo: Image.Image, size: tuple[int, int], rng: random.Random, speed: float
    ) -> None:
        side = int(min(size) * rng.uniform(0.35, 0.8))
        left = rng.randint(0, max(0, photo.width - side))
        top = rng.randint(0, max(0, photo.height - side))
        self.patch = photo.crop((left, top, left + side, top + side))
        self.mask = Image.new("L", (side, side), 0)
        draw = ImageDraw.Draw(self.mask)
        points = []
        corners = rng.randint(5, 11)
        for corner in range(corners):
            radius = side * rng.uniform(0.26, 0.48)
            angle = 2 * math.pi * corner / corners
            points.append(
                (side / 2 + radius * math.cos(angle), side / 2 + radius * math.sin(angle))
            )
        draw.polygon(points, fill=255)
        self.mask = self.mask.filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 2.0)))
        self.origin = (rng.uniform(0.1, 0.9) * size[0], rng.uniform(0.1, 0.9) * size[1])
        self.x = _ease(rng, size[0] * 0.4 * speed)
        self.y = _ease(rng, size[1] * 0.25 * speed)

    def draw(self, picture: Image.Image, index: int, frames: int) -> Image.Image:
        side = self.patch.width
        x = self.origin[0] + _position(self.x, index, frames) - side / 2
        y = self.origin[1] + _position(self.y, index, frames) - side / 2
        # Sub-pixel placement: the layer must not snap from pixel to pixel.
        shift = (1.0, 0.0, -(x % 1.0), 0.0, 1.0, -(y % 1.0))
        patch = self.patch.transform(
            self.patch.size, Image.Transform.AFFINE, shift, resample=Image.Resampling.BICUBIC
        )
        mask = self.mask.transform(
            self.mask.size, Image.Transform.AFFINE, shift, resample=Image.Resampling.BILINEAR
        )
        composed = picture.copy()
        composed.paste(patch, (math.floor(x), math.floor(y)), mask)
        return composed
