"""Which clip a sample is cut from, in which version, and which of its frames."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from refvid.training.clips import MADE_PREFIX, CachedClip, TrainingClip
from refvid.training.sample_options import SampleOptions


class ClipSource:
    """Draws clips that are large and long enough; those of one source share their weight."""

    def __init__(self, clips: Sequence[TrainingClip | CachedClip], options: SampleOptions) -> None:
        self.groups = group_usable(clips, options)
        self._weights = weigh_groups(self.groups, options.made)
        self._options = options

    def draw(self, rng: random.Random) -> TrainingClip:
        """Any clip."""
        return rng.choice(rng.choices(self.groups, self._weights)[0]).open()

    def draw_version(self, clip: TrainingClip, rng: random.Random) -> NDArray[np.uint8]:
        """A degraded version of a clip, or now and then itself."""
        version = rng.choice(clip.degraded) if clip.degraded else clip.clean
        return clip.clean if rng.random() < self._options.undegraded else version

    def draw_around(self, at: int, length: int, rng: random.Random) -> list[int]:
        """Frames around the one of a reference; this one itself where there are too few."""
        options = self._options
        low, high = max(0, at - options.max_distance), min(length - 1, at + options.max_distance)
        nearby = [frame for frame in range(low, high + 1) if frame != at]
        frames = rng.sample(nearby, min(options.frames, len(nearby)))
        return frames + [at] * (options.frames - len(frames))


def group_usable(
    clips: Sequence[TrainingClip | CachedClip], options: SampleOptions
) -> list[list[TrainingClip | CachedClip]]:
    """Clips that are large and long enough for such samples, those of one source together."""
    by_source: dict[str, list[TrainingClip | CachedClip]] = defaultdict(list)
    for clip in clips:
        length, *size = clip.shape
        long_enough = length >= options.frames or not options.consecutive
        if min(size) >= options.crop and long_enough:
            by_source[clip.source].append(clip)
    return list(by_source.values())


def weigh_groups(
    groups: Sequence[Sequence[TrainingClip | CachedClip]], made_share: float
) -> list[float]:
    """How often a clip of each source is drawn, against the others.

    Args:
        groups: From `group_usable`.
        made_share: What the kinds of clips made by code share, where there are others, too.
    """
    # Many clips of one source look alike: the square root keeps them from taking over.
    weights = [math.sqrt(len(group)) for group in groups]
    is_made = [group[0].source.startswith(MADE_PREFIX) for group in groups]
    totals = {
        made: sum(w for w, m in zip(weights, is_made, strict=True) if m is made)
        for made in (True, False)
    }
    if not all(totals.values()):
        return weights
    shares = {True: made_share, False: 1 - made_share}
    return [w * shares[m] / totals[m] for w, m in zip(weights, is_made, strict=True)]
