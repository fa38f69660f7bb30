"""Draws training samples: crops of a degraded clip, their clean targets and a reference."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refvid.training.batch import Batch
from refvid.training.clip_source import ClipSource
from refvid.training.clips import CachedClip, TrainingClip
from refvid.training.dropout import draw_token_dropout
from refvid.training.sample_options import SampleOptions


@dataclass(frozen=True, slots=True)
class _Sample:
    degraded: NDArray[np.uint8]
    clean: NDArray[np.uint8]
    """Both (T, crop, crop, 3)."""

    reference: NDArray[np.uint8]
    origin: list[int]
    condition: Tensor | None


Describe = Callable[[NDArray[np.uint8]], Tensor]
"""Whole frames (T, H, W, 3) -> (T, C), what a decoder is told of them."""


class SampleDrawer:
    """Random batches, each determined by the seed and its number alone.

    So the position in the data is one number, and however many processes draw, the batches are
    the same.
    """

    def __init__(
        self,
        clips: Sequence[TrainingClip | CachedClip],
        options: SampleOptions,
        seed: int = 0,
        describe: Describe | None = None,
    ) -> None:
        self.options, self.seed, self.describe = options, seed, describe
        self.clips = ClipSource(clips, options)

    def draw(self, index: int) -> Batch:
        """Draw the batch of that number."""
        options = self.options
        rng = random.Random(f"{self.seed}:{index}")
        samples = [self._sample(rng) for _ in range(options.clips)]
        missing = rng.random() < options.missing
        references, origins = _equal_sizes(samples, options.crop)
        return Batch(
            clip=torch.stack([to_unit(sample.degraded) for sample in samples]).transpose(1, 2),
            target=torch.stack([to_unit(sample.clean) for sample in samples]).transpose(1, 2),
            reference=None if missing else torch.stack([to_unit(r) for r in references]),
            origin=torch.tensor(origins),
            condition=_stack([sample.condition for sample in samples]),
            token_dropout=draw_token_dropout(rng, options.token_dropout),
            seed=rng.randrange(2**31),
        )

    def _sample(self, rng: random.Random) -> _Sample:
        options, crop = self.options, self.options.crop
        clip = self.clips.draw(rng)
        variant = self.clips.draw_version(clip, rng)
        length, height, width = clip.shape
        at, frames = self._frames(length, rng)
        top, left = rng.randrange(height - crop + 1), rng.randrange(width - crop + 1)
        kind = rng.random()
        source, index = clip.clean, at
        if kind < options.unrelated:
            source = self.clips.draw(rng).clean
            index = rng.randrange(len(source))
        elif kind < options.unrelated + options.degraded_reference:
            source = variant
        reference, origin = self._reference(source[index], top, left, rng)
        if rng.random() < options.relit_reference:
            reference = _relight(reference, rng)
        spot = (slice(top, top + crop), slice(left, left + crop))
        degraded = np.stack([variant[f][spot] for f in frames])
        clean = np.stack([clip.clean[f][spot] for f in frames])
        if rng.random() < 0.5:
            degraded, clean = degraded[:, :, ::-1], clean[:, :, ::-1]
            reference = reference[:, ::-1]
            origin[1] = reference.shape[1] - crop - origin[1]
        condition = self.describe(np.stack([variant[f] for f in frames])) if self.describe else None
        return _Sample(degraded, clean, reference, origin, condition)

    def _frames(self, length: int, rng: random.Random) -> tuple[int, list[int]]:
        """Index of the reference, and those of the frames."""
        options = self.options
        if options.consecutive:
            start = rng.randrange(length - options.frames + 1)
            chosen = rng.randrange(options.frames) if options.reference_frame == "random" else 0
            return start + chosen, list(range(start, start + options.frames))
        at = rng.randrange(length)
        return at, self.clips.draw_around(at, length, rng)

    def _reference(
        self, frame: NDArray[np.uint8], top: int, left: int, rng: random.Random
    ) -> tuple[NDArray[np.uint8], list[int]]:
        """A crop of the reference frame around the frames' crop, and where that lies in it."""
        options = self.options
        corner, origin = [], []
        for start, extent in ((top, frame.shape[0]), (left, frame.shape[1])):
            side = min(options.reference_crop, extent // 8 * 8)
            # An unrelated reference may be smaller than the clip.
            place = min(start, extent - options.crop)
            first = rng.randint(max(0, place + options.crop - side), min(place, extent - side))
            corner.append(slice(first, first + side))
            origin.append(place - first)
        return frame[corner[0], corner[1]], origin


def to_unit(pixels: NDArray[np.uint8]) -> Tensor:
    """(..., H, W, 3) uint8 -> (..., 3, H, W) float in [-1, 1]."""
    # A copy: a whole frame of a cached clip is read-only memory.
    tensor = torch.from_numpy(np.array(pixels))
    return tensor.float().div_(127.5).sub_(1).movedim(-1, -3)


def _equal_sizes(
    samples: Sequence[_Sample], crop: int
) -> tuple[list[NDArray[np.uint8]], list[list[int]]]:
    """References of smaller clips decide the size: move the window over the frames' crop."""
    size = [min(sample.reference.shape[axis] for sample in samples) for axis in (0, 1)]
    references, origins = [], []
    for sample in samples:
        corners, origin = [], []
        for axis in (0, 1):
            excess = sample.reference.shape[axis] - size[axis]
            first = min(excess, max(0, sample.origin[axis] + crop - size[axis]))
            corners.append(slice(first, first + size[axis]))
            origin.append(sample.origin[axis] - first)
        references.append(sample.reference[corners[0], corners[1]])
        origins.append(origin)
    return references, origins


def _stack(conditions: Sequence[Tensor | None]) -> Tensor | None:
    known = [condition for condition in conditions if condition is not None]
    return torch.stack(known) if known else None


def _relight(reference: NDArray[np.uint8], rng: random.Random) -> NDArray[np.uint8]:
    gain = np.array([rng.uniform(0.9, 1.1) for _ in range(3)], np.float32)
    return (reference * gain + rng.uniform(-8, 8)).round().clip(0, 255).astype(np.uint8)
