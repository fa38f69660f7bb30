"""Draws samples for the task style: frames to repaint, and the picture whose style they take."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refvid.media.fit import fit_image
from refvid.media.pixel_conversion import to_uint8
from refvid.training.batch import Batch, PaintedClip
from refvid.training.clip_source import ClipSource
from refvid.training.clips import CachedClip, TrainingClip
from refvid.training.sample_options import SampleOptions, StyleSampleOptions
from refvid.training.samples import to_unit
from refvid.training.style_pictures import StylePicture

Paint = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Frames (T, 3, H, W) and style (3, h, w), both in [-1, 1] -> what `PaintedClip` holds of one clip:
recoloured and painted frames (T, 3, H, W), and statistics (T, S)."""

Pixels = NDArray[np.uint8]

_MULTIPLE = 8
_SMALLEST_STYLE = 32


@dataclass(frozen=True, slots=True)
class StyleSample:
    """One item of a batch."""

    content: Pixels
    """(T, crop, crop, 3)."""

    style: Pixels
    """(h, w, 3)."""

    stylised: Pixels | None
    """(T, crop, crop, 3), where that is known."""


class StyleSampleDrawer:
    """Random batches without pairs, each determined by the seed and its number alone.

    Args:
        clips: What is repainted; those of one source share weight.
        styles: All of the same weight.
        options: `clips`, `frames` and `crop` count.
        style_options: Scales of both.
        paint: Does what is not learned.
        seed: Of all draws.
    """

    def __init__(
        self,
        clips: Sequence[TrainingClip | CachedClip],
        styles: Sequence[StylePicture],
        options: SampleOptions,
        style_options: StyleSampleOptions,
        paint: Paint,
        seed: int = 0,
    ) -> None:
        self.options, self.style_options = options, style_options
        self.styles, self.paint, self.seed = styles, paint, seed
        self.clips = ClipSource(clips, options)
        self.groups = self.clips.groups

    def draw(self, index: int) -> Batch:
        """Draw the batch of that number."""
        rng = random.Random(f"{self.seed}:style:{index}")
        styles = [rng.choice(self.styles).open() for _ in range(self.options.clips)]
        size = draw_style_size(styles[0].shape, self.options.crop, self.style_options, rng)
        lead = rng.randint(0, self.style_options.lead)
        samples = [
            StyleSample(
                self._content(lead, rng), fit_style(style, size, self.style_options, rng), None
            )
            for style in styles
        ]
        frames = self.options.frames
        return make_style_batch(samples, self.paint, seed=rng.randrange(2**31), frames=frames)

    def _content(self, lead: int, rng: random.Random) -> Pixels:
        """Frames that follow each other, (up to lead + T, crop, crop, 3)."""
        options, crop = self.options, self.options.crop
        clip = self.clips.draw(rng)
        length, height, width = clip.shape
        window = min(round(crop / rng.uniform(*self.style_options.content_scale)), height, width)
        count = min(length, options.frames + lead)
        start = rng.randrange(length - count + 1)
        top, left = rng.randrange(height - window + 1), rng.randrange(width - window + 1)
        frames = clip.clean[start : start + count, top : top + window, left : left + window]
        if rng.random() < self.style_options.flip:
            frames = frames[:, :, ::-1]
        return np.stack([to_uint8(fit_image(frame, crop, crop, "stretch")) for frame in frames])


def draw_style_size(
    shape: Sequence[int], crop: int, options: StyleSampleOptions, rng: random.Random
) -> tuple[int, int]:
    """Height and width that the styles of a batch get: the proportions of the first one, and an
    area in relation to the frames'.
    """
    height, width = shape[:2]
    area = crop * crop * rng.uniform(*options.style_area)
    scale = math.sqrt(area / (height * width))
    tall, wide = (
        max(round(side * scale / _MULTIPLE) * _MULTIPLE, _SMALLEST_STYLE)
        for side in (height, width)
    )
    return tall, wide


def fit_style(
    style: Pixels, size: tuple[int, int], options: StyleSampleOptions, rng: random.Random
) -> Pixels:
    """Bring a style to a size: a window of those proportions, anywhere in it."""
    (height, width), (tall, wide) = style.shape[:2], size
    scale = min(height / tall, width / wide) * rng.uniform(*options.style_window)
    window = max(1, round(tall * scale)), max(1, round(wide * scale))
    top, left = (
        rng.randint(0, max(0, have - part))
        for have, part in zip((height, width), window, strict=True)
    )
    # A copy: the picture may be mapped from a file.
    part = np.array(style[top : top + window[0], left : left + window[1]])
    if rng.random() < options.flip:
        part = part[:, ::-1]
    return to_uint8(fit_image(part, wide, tall, "stretch"))


def make_style_batch(
    samples: Sequence[StyleSample], paint: Paint, seed: int, frames: int | None = None
) -> Batch:
    """Paint samples, whose sizes agree, and stack them.

    Args:
        samples: Their contents may begin earlier than what is wanted.
        paint: Does what is not learned.
        seed: Of the step's noise.
        frames: How many of the last ones are wanted; None is all.
    """
    contents = [to_unit(sample.content) for sample in samples]  # each (T, 3, H, W)
    styles = [to_unit(sample.style) for sample in samples]
    with torch.no_grad():
        made = [paint(content, style) for content, style in zip(contents, styles, strict=True)]
    wanted = slice(None if frames is None else -frames, None)
    recoloured, painted, statistics = (
        torch.stack([part[wanted] for part in parts]) for parts in zip(*made, strict=True)
    )
    clip = torch.stack([content[wanted] for content in contents]).transpose(1, 2)
    stylised = [to_unit(sample.stylised) for sample in samples if sample.stylised is not None]
    return Batch(
        clip=clip,
        target=torch.stack(stylised).transpose(1, 2) if stylised else clip,
        reference=torch.stack(styles),
        origin=torch.zeros(len(samples), 2, dtype=torch.int64),
        painted=PaintedClip(recoloured.transpose(1, 2), painted.transpose(1, 2), statistics),
        seed=seed,
    )
