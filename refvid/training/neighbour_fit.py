"""Fit how much a frame's neighbours count, by what the video lost; see `NeighbourShare`.

`python -m benchmarks.fit_neighbours` does it.

Clean clips and made ones are degraded by real compression, scaling and blur, or left as they are.
Of each it is known how the mean over neighbouring frames would change the middle one, and so, for
any share of that change, how far the result is from the clean frame. The degraded frames stand for
what the network makes of them. A logistic regression on the condition takes the share that brings
most; what it costs counts more than what it brings.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from refvid.checkpoints.checksums import note_checksums
from refvid.models.mini.alignment import Picture
from refvid.models.mini.autoencoder import to_shades
from refvid.models.mini.condition import CONDITION_CHANNELS, measure_losses
from refvid.models.mini.decoder import NeighbourShare
from refvid.models.mini.neighbours import REACH, see, what_neighbours_say
from refvid.models.patch_codec import PatchCodec
from refvid.training.degradations import (
    EVALUATION_DEGRADATIONS,
    Degradation,
    decode_rgb,
    degrade,
    random_degradation,
)
from refvid.training.made import MADE_KINDS, make_clip

Frames = NDArray[np.uint8]

_FRAMES = 2 * REACH + 1
_SIZE = (448, 320)
"""Largest width and height of what is drawn [pixels]."""

_QUALITIES = range(4, 37, 4)
_WAYS_PER_CLIP = 7
_FLOOR = 0.1
"""Mean square error [levels squared] below which nothing is to be gained or lost."""

_COST = 1.5
"""What a loss counts more than a gain, besides."""

_STEPS = 4000


Row = tuple[Tensor, float, float, float]
"""Of one frame what `Draws` has of N."""


class Draws(NamedTuple):
    """What is known of frames; N of them."""

    condition: Tensor
    """(N, CONDITION_CHANNELS)."""

    error: Tensor
    """(N,) mean square error of each."""

    agreement: Tensor
    """(N,) mean product of the error and the change that neighbours ask for."""

    change: Tensor
    """(N,) mean square of that change."""

    def gain(self, share: Tensor) -> Tensor:
        """Of a share of the change (N,) [dB]."""
        after = self.error - 2 * share * self.agreement + share.square() * self.change
        return 10 * ((self.error + _FLOOR) / (after + _FLOOR)).log10()


def draw(clips: Sequence[Path], count: int, rng: random.Random) -> Draws:
    """Degrade clips and look at their middle frames.

    Args:
        clips: Clean videos; those with fewer than five frames are passed over.
        count: How many frames.
        rng: Draws everything.

    Raises:
        ValueError: There is no clip.
    """
    codec = PatchCodec()

    def look(clean: Frames) -> Iterator[Row]:
        for degradation in draw_ways(rng):
            yield _look(codec, clean, clean if degradation is None else degrade(clean, degradation))

    return collect(clips, count, rng, look)


def collect(
    clips: Sequence[Path], count: int, rng: random.Random, look: Callable[[Frames], Iterable[Row]]
) -> Draws:
    """What `look` finds in clips, for `count` frames. See `draw`, also for what is raised."""
    if not clips:
        raise ValueError("no clip to draw from")
    rows: list[Row] = []
    for clean in draw_clips(clips, rng):
        rows += look(clean)
        if len(rows) >= count:
            break
    conditions, *numbers = zip(*rows[:count], strict=True)
    return Draws(torch.stack(conditions), *(torch.tensor(column) for column in numbers))


def fit(draws: Draws) -> NeighbourShare:
    """Take the shares that bring most."""
    torch.manual_seed(0)
    middle, spread = draws.condition.mean(0), draws.condition.std(0) + 0.1
    conditions = (draws.condition - middle) / spread
    weight = torch.zeros(1, CONDITION_CHANNELS, requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.AdamW([weight, bias], 1e-2, weight_decay=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for _ in range(_STEPS):
        chosen = torch.randint(len(conditions), (512,))
        seen = conditions[chosen]
        share = functional.linear(seen + 0.05 * torch.randn_like(seen), weight, bias).sigmoid()
        loss = -Draws(*(column[chosen] for column in draws)).gain(share[:, 0])
        optimizer.zero_grad()
        (loss + _COST * loss.clamp(min=0)).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    fitted = NeighbourShare()
    with torch.no_grad():
        fitted.weight.copy_(weight / spread)
        fitted.bias.copy_(bias - (weight * middle / spread).sum())
    return fitted


def write_with(weights: Path, name: str, part: nn.Module, output: Path) -> None:
    """Write weights of mini with a part of that name, which its configuration then asks for."""
    with safe_open(weights, "pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    config = {**json.loads(metadata["config"]), f"weighs_{name}": True}
    tensors |= {f"{name}.{key}": one for key, one in part.state_dict().items()}
    metadata |= {"config": json.dumps(config), **note_checksums(tensors)}
    save_file(tensors, output, metadata=metadata)


def draw_clips(paths: Sequence[Path], rng: random.Random) -> Iterator[Frames]:
    """Clean clips, and after every second one a made one."""
    number = 0
    while True:
        for path in rng.sample(paths, len(paths)):
            frames = decode_rgb(path, _FRAMES)
            if len(frames) < _FRAMES:
                continue
            yield (clip := _cut(np.stack(frames), rng))
            number += 1
            if number % 2 == 0:
                photo = Image.fromarray(clip[0])
                yield make_clip(rng.choice(MADE_KINDS), rng, _SIZE, _FRAMES, photo)


def _cut(clip: Frames, rng: random.Random) -> Frames:
    """A part of a clip, or all of it in small, and at times with grain."""
    height, width = clip.shape[1:3]
    size = min(width, _SIZE[0]) // 8 * 8, min(height, _SIZE[1]) // 8 * 8
    if rng.random() < 0.3:
        clip = np.stack([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in clip])
    else:
        left, top = rng.randint(0, width - size[0]), rng.randint(0, height - size[1])
        clip = clip[:, top : top + size[1], left : left + size[0]]
    if rng.random() < 0.3:
        grain = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(1, 8), clip.shape)
        clip = (clip + grain).round().clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(clip)


def draw_ways(rng: random.Random) -> list[Degradation | None]:
    """Ways to degrade one clip; None leaves it clean."""
    fixed: list[Degradation | None] = [None, *EVALUATION_DEGRADATIONS.values()]
    fixed += [Degradation(crf=quality) for quality in _QUALITIES]
    return [None, random_degradation(rng), *rng.sample(fixed, _WAYS_PER_CLIP - 2)]


def _look(codec: PatchCodec, clean: Frames, lossy: Frames) -> Row:
    frames = torch.from_numpy(lossy).movedim(-1, 1)[:, None].float().div(127.5).sub(1)
    shades = [to_shades(frame) for frame in frames]
    seen = [see(frame, gray, gray) for frame, gray in zip(frames, shades, strict=True)]
    change = np.moveaxis(what_neighbours_say(seen, REACH), 0, -1)
    condition = measure_losses(codec.encode(frames[REACH]), frames[REACH])[0]
    return measure_change(condition, clean[REACH], lossy[REACH], change)


def measure_change(
    condition: Tensor, clean: Picture, lossy: Picture, change: NDArray[np.float32]
) -> Row:
    """What is known of a frame that would change by so much [levels]; all three (H, W, 3)."""
    error = clean.astype(np.float32) - lossy
    products = (error**2, error * change, change**2)
    total, agreement, size = (float(product.mean()) for product in products)
    return condition, total, agreement, size
