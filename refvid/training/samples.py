"""Draws training samples: crops of a degraded clip, their clean targets and a reference."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refvid.training.clips import TrainingClip


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOptions:
    """How samples are drawn."""

    clips: int = 4
    """Clips per batch, each with a reference of its own."""

    frames: int = 3
    """Frames per clip."""

    crop: int = 128
    """Side of the frames' crops [pixels], a multiple of 8."""

    reference_crop: int = 256
    """Side of the reference's crop around them [pixels], a multiple of 8."""

    max_distance: int = 16
    """Frames between a frame and its reference, at most."""

    unrelated: float = 0.20
    """Share of samples whose reference comes from another clip."""

    missing: float = 0.12
    """Share of batches without a reference."""

    degraded_reference: float = 0.05
    """Share of samples whose reference is as degraded as the clip."""

    undegraded: float = 0.08
    """Share of samples whose frames are clean: a good video must come out as it went in."""

    relit_reference: float = 0.10
    """Share of samples whose reference has another exposure."""


@dataclass(frozen=True, slots=True)
class Batch:
    """B clips of T frames; pixels in [-1, 1]."""

    degraded: Tensor
    """(B, T, 3, crop, crop)"""

    clean: Tensor
    """(B, T, 3, crop, crop)"""

    reference: Tensor | None
    """(B, 3, H, W), larger than the crops."""

    origin: Tensor
    """(B, 2) where the crops' corner lies in the reference [pixels]."""


class SampleDrawer:
    """Endless random batches; its random state is the whole state of the data."""

    def __init__(
        self, clips: Sequence[TrainingClip], options: SampleOptions, rng: random.Random
    ) -> None:
        self.options, self.rng = options, rng
        by_source: dict[str, list[TrainingClip]] = defaultdict(list)
        for clip in clips:
            if min(clip.clean.shape[1:3]) >= options.crop:
                by_source[clip.source].append(clip)
        self.groups = list(by_source.values())
        # Many clips of one source look alike: the square root keeps them from taking over.
        self.weights = [math.sqrt(len(group)) for group in self.groups]

    def draw(self) -> Batch:
        """One batch."""
        rng, options = self.rng, self.options
        samples = [self._sample() for _ in range(options.clips)]
        degraded, clean, references, origins = zip(*samples, strict=True)
        size = [min(r.shape[axis] for r in references) for axis in (0, 1)]
        missing = rng.random() < options.missing
        stacked = []
        for index, (reference, origin) in enumerate(zip(references, origins, strict=True)):
            # References of smaller clips decide the size: move the window over the frames' crop.
            cut, shift = _shrink(reference, origin, size, options.crop)
            stacked.append(cut)
            origins[index][:] = shift
        return Batch(
            torch.stack([to_unit(d) for d in degraded]),
            torch.stack([to_unit(c) for c in clean]),
            None if missing else torch.stack([to_unit(r) for r in stacked]),
            torch.tensor(origins),
        )

    def _clip(self) -> TrainingClip:
        return self.rng.choice(self.rng.choices(self.groups, self.weights)[0])

    def _sample(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], list[int]]:
        rng, options = self.rng, self.options
        clip = self._clip()
        variant = rng.choice(clip.degraded)
        if rng.random() < options.undegraded:
            variant = clip.clean
        length, height, width = clip.clean.shape[:3]
        at = rng.randrange(length)
        low, high = max(0, at - options.max_distance), min(length - 1, at + options.max_distance)
        nearby = [frame for frame in range(low, high + 1) if frame != at]
        frames = rng.sample(nearby, min(options.frames, len(nearby)))
        frames += [at] * (options.frames - len(frames))
        crop = options.crop
        top, left = rng.randrange(height - crop + 1), rng.randrange(width - crop + 1)
        kind = rng.random()
        source, index = clip.clean, at
        if kind < options.unrelated:
            source = self._clip().clean
            index = rng.randrange(len(source))
        elif kind < options.unrelated + options.degraded_reference:
            source = variant
        reference, origin = self._reference(source[index], top, left)
        if rng.random() < options.relit_reference:
            reference = _relight(reference, rng)
        spot = (slice(top, top + crop), slice(left, left + crop))
        degraded = np.stack([variant[f][spot] for f in frames])
        clean = np.stack([clip.clean[f][spot] for f in frames])
        if rng.random() < 0.5:
            degraded, clean = degraded[:, :, ::-1], clean[:, :, ::-1]
            reference = reference[:, ::-1]
            origin[1] = reference.shape[1] - crop - origin[1]
        return degraded, clean, reference, origin

    def _reference(
        self, frame: NDArray[np.uint8], top: int, left: int
    ) -> tuple[NDArray[np.uint8], list[int]]:
        """A crop of the reference frame around the frames' crop, and where that lies in it."""
        options = self.options
        corner, origin = [], []
        for start, extent in ((top, frame.shape[0]), (left, frame.shape[1])):
            side = min(options.reference_crop, extent // 8 * 8)
            # An unrelated reference may be smaller than the clip.
            place = min(start, extent - options.crop)
            first = self.rng.randint(max(0, place + options.crop - side), min(place, extent - side))
            corner.append(slice(first, first + side))
            origin.append(place - first)
        return frame[corner[0], corner[1]], origin


def to_unit(pixels: NDArray[np.uint8]) -> Tensor:
    """(..., H, W, 3) uint8 -> (..., 3, H, W) float in [-1, 1]."""
    tensor = torch.from_numpy(np.ascontiguousarray(pixels))
    return tensor.float().div_(127.5).sub_(1).movedim(-1, -3)


def _shrink(
    reference: NDArray[np.uint8], origin: list[int], size: list[int], crop: int
) -> tuple[NDArray[np.uint8], list[int]]:
    corners, shifted = [], []
    for axis in (0, 1):
        excess = reference.shape[axis] - size[axis]
        first = min(excess, max(0, origin[axis] + crop - size[axis]))
        corners.append(slice(first, first + size[axis]))
        shifted.append(origin[axis] - first)
    return reference[corners[0], corners[1]], shifted


def _relight(reference: NDArray[np.uint8], rng: random.Random) -> NDArray[np.uint8]:
    gain = np.array([rng.uniform(0.9, 1.1) for _ in range(3)], np.float32)
    return (reference * gain + rng.uniform(-8, 8)).round().clip(0, 255).astype(np.uint8)
