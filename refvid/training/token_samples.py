"""Draws samples for tokenizers: a block of frames, and as its reference a frame before or after."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refvid.training.batch import Batch
from refvid.training.clip_source import ClipSource
from refvid.training.clips import CachedClip, TrainingClip
from refvid.training.sample_options import SampleOptions
from refvid.training.samples import to_unit

_BEFORE = 0.8
"""Share of references that come before their block, as the first frame of a shot does."""


class TokenSampleDrawer:
    """Random batches, each determined by the seed and its number alone.

    Args:
        clips: What samples are cut from.
        options: `clips`, `frames`, `crop`, `max_distance`, `unrelated` and `made` count.
        seed: Of all draws.
    """

    def __init__(
        self, clips: Sequence[TrainingClip | CachedClip], options: SampleOptions, seed: int = 0
    ) -> None:
        self.options, self.seed = options, seed
        self.clips = ClipSource(clips, options)

    def draw(self, index: int) -> Batch:
        """Draw the batch of that number."""
        rng = random.Random(f"{self.seed}:tokens:{index}")
        samples = [self._sample(rng) for _ in range(self.options.clips)]
        clip = torch.stack([block for block, _ in samples]).transpose(1, 2)
        return Batch(
            clip=clip,
            target=clip,
            reference=torch.stack([reference for _, reference in samples]),
            origin=torch.zeros(len(samples), 2, dtype=torch.int64),
            seed=rng.randrange(2**31),
        )

    def _sample(self, rng: random.Random) -> tuple[Tensor, Tensor]:
        """Frames (T, 3, crop, crop) and their reference (3, crop, crop), both in [-1, 1]."""
        crop = self.options.crop
        clip = self.clips.draw(rng)
        start, at = self._places(clip.shape[0], rng)
        spot = _window(clip.shape, crop, rng)
        frames = clip.clean[start : start + self.options.frames, spot[0], spot[1]]
        if rng.random() < self.options.unrelated:
            other = self.clips.draw(rng)
            where = _window(other.shape, crop, rng)
            reference = other.clean[rng.randrange(len(other.clean)), where[0], where[1]]
        else:
            reference = clip.clean[at, spot[0], spot[1]]
        return _turned(frames, reference, rng)

    def _places(self, length: int, rng: random.Random) -> tuple[int, int]:
        """Where a block begins, and its reference: outside of it, unless the clip ends there."""
        frames, farthest = self.options.frames, self.options.max_distance
        distance = rng.randint(1, max(1, min(farthest, length - frames)))
        distance = min(distance, length - frames)
        first = rng.randrange(length - frames - distance + 1)
        if rng.random() < _BEFORE:
            return first + distance, first
        return first, first + distance + frames - 1


def _window(shape: tuple[int, int, int], crop: int, rng: random.Random) -> tuple[slice, slice]:
    top, left = (rng.randrange(extent - crop + 1) for extent in shape[1:])
    return slice(top, top + crop), slice(left, left + crop)


def _turned(
    frames: NDArray[np.uint8], reference: NDArray[np.uint8], rng: random.Random
) -> tuple[Tensor, Tensor]:
    if rng.random() < 0.5:
        frames, reference = frames[:, :, ::-1], reference[:, ::-1]
    return to_unit(np.ascontiguousarray(frames)), to_unit(np.ascontiguousarray(reference))
