"""Draws samples for the bundled model: crops of a degraded clip with their aligned references.

The network is trained on what alignment really gives, errors and all: whole degraded frames are
searched in whole references, as `enhance` does it, and crops are cut from the result.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refvid.models.mini.alignment import Flow, FramePlaced, align, find_coarse, gray
from refvid.models.mini.fusion import TRUST_CHANNELS
from refvid.training.batch import AlignedReference, Batch
from refvid.training.clip_source import ClipSource
from refvid.training.clips import CachedClip, TrainingClip
from refvid.training.photographs import photograph
from refvid.training.sample_options import SampleOptions
from refvid.training.samples import Describe, to_unit

_CHAIN_STEP = 12
"""A far frame is searched from frames on the way, this far apart: in use, every frame begins where
the one before ended."""

_MOST_STEPS = 4

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Sample:
    degraded: Tensor
    clean: Tensor
    """Both (T, 3, crop, crop) in [-1, 1]."""

    aligned: Tensor
    """(T, 3, crop, crop)"""

    trust: Tensor
    """(T, 3, crop / 4, crop / 4)"""

    condition: Tensor
    frame_error: Tensor


class AlignedSampleDrawer:
    """Random batches, each determined by the seed and its number alone; see `SampleDrawer`."""

    def __init__(
        self,
        clips: Sequence[TrainingClip | CachedClip],
        options: SampleOptions,
        seed: int,
        describe: Describe,
    ) -> None:
        self.options, self.seed, self.describe = options, seed, describe
        self.clips = ClipSource(clips, options)

    def draw(self, index: int) -> Batch:
        """Draw the batch of that number."""
        rng = random.Random(f"{self.seed}:{index}")
        missing = rng.random() < self.options.missing
        samples = [self._sample(rng, missing=missing) for _ in range(self.options.clips)]
        stacked = {
            name: torch.stack([getattr(sample, name) for sample in samples])
            for name in _Sample.__slots__
        }
        aligned = AlignedReference(
            stacked["aligned"].transpose(1, 2).contiguous(),
            stacked["trust"].transpose(1, 2).contiguous(),
        )
        return Batch(
            clip=stacked["degraded"].transpose(1, 2),
            target=stacked["clean"].transpose(1, 2),
            reference=None,
            aligned=None if missing else aligned,
            origin=torch.zeros(len(samples), 2, dtype=torch.int64),
            condition=stacked["condition"],
            frame_error=stacked["frame_error"],
            seed=rng.randrange(2**31),
        )

    def _sample(self, rng: random.Random, *, missing: bool) -> _Sample:
        crop = self.options.crop
        clip = self.clips.draw(rng)
        variant = self.clips.draw_version(clip, rng)
        length, height, width = clip.shape
        height, width = height // 8 * 8, width // 8 * 8
        at, frames = self._frames(length, rng)
        whole = [np.array(variant[f][:height, :width]) for f in frames]
        clean = [np.asarray(clip.clean[f][:height, :width]) for f in frames]
        top = rng.randrange(0, height - crop + 1, 4)
        left = rng.randrange(0, width - crop + 1, 4)
        spot = (slice(top, top + crop), slice(left, left + crop))
        aligned = [frame[spot] for frame in whole]
        trust = np.zeros((len(frames), TRUST_CHANNELS, crop // 4, crop // 4), np.float32)
        if not missing:
            reference = self._reference(clip, variant, at, (height, width), rng)
            for number, frame in enumerate(frames):
                found = _align_far(variant, at, frame, reference, (height, width))
                aligned[number] = found[0][spot]
                trust[number] = found[1][
                    :, top // 4 : (top + crop) // 4, left // 4 : (left + crop) // 4
                ]
        errors = [
            np.square(w.astype(np.float32) - c).mean() for w, c in zip(whole, clean, strict=True)
        ]
        parts = (*(_unit(p, spot) for p in (whole, clean)), _unit(aligned), torch.from_numpy(trust))
        degraded, target, seen, trusted = _mirrored(parts, rng)
        return _Sample(
            degraded,
            target,
            seen,
            trusted,
            self.describe(np.stack(whole)),
            torch.tensor(errors).div_(127.5**2),
        )

    def _frames(self, length: int, rng: random.Random) -> tuple[int, list[int]]:
        """Index of the reference, and those of the frames."""
        # Near an end, so that what is far is drawn as often as what is near.
        at = round((length - 1) * rng.choice((0, 1, rng.random())) * rng.uniform(0.85, 1))
        return at, self.clips.draw_around(at, length, rng)

    def _reference(
        self,
        clip: TrainingClip,
        variant: Pixels,
        at: int,
        size: tuple[int, int],
        rng: random.Random,
    ) -> FramePlaced:
        options = self.options
        height, width = size
        kind = rng.random()
        if kind < options.unrelated:
            other = self.clips.draw(rng).clean
            picture = other[rng.randrange(len(other))]
            fitted = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
            return FramePlaced(np.asarray(fitted, np.uint8))
        if kind < options.unrelated + options.degraded_reference:
            return FramePlaced(np.array(variant[at][:height, :width]))
        picture = np.array(clip.clean[at][:height, :width])
        if rng.random() < options.photographed:
            photo = photograph(picture, np.asarray(variant[at][:height, :width]), rng)
            return FramePlaced(photo.pixels, photo.shown)
        return FramePlaced(picture)


def _align_far(
    variant: Pixels, at: int, frame: int, reference: FramePlaced, size: tuple[int, int]
) -> tuple[Pixels, NDArray[np.float32]]:
    """A reference as a frame sees it, searched by way of frames between both."""
    height, width = size
    steps = min(_MOST_STEPS, max(1, math.ceil(abs(frame - at) / _CHAIN_STEP)))
    coarse: Flow | None = None
    for step in range(1, steps + 1):
        between = at + round((frame - at) * step / steps)
        shades = gray(np.asarray(variant[between][:height, :width]))
        coarse = find_coarse(shades, reference.shades, coarse)
    assert coarse is not None, "there is at least one step"
    found = align(shades, reference, coarse)
    return found.pixels, found.trust


def _unit(frames: Sequence[Pixels], spot: tuple[slice, ...] = ()) -> Tensor:
    return torch.stack([to_unit(frame[spot]) for frame in frames])


def _mirrored(parts: Sequence[Tensor], rng: random.Random) -> list[Tensor]:
    """All of them mirrored alike, or none."""
    axes = [axis for axis in (-1, -2) if rng.random() < 0.5]
    return [part.flip(axes) for part in parts]
