"""Fit how much of its own change counts in mini, by what the video lost; see `ChangeShare`.

`python -m benchmarks.fit_change` does it.

Clean clips, softened and made ones are degraded or left as they are. Of each it is known how the
network changes a frame without a reference, and so, for any share of that change, how far the
result is from the clean frame. Three small networks learn the share that comes near the best one;
the mean of their answers counts. Errors beyond some decibels all count alike: a clean frame's are
without end, and would outweigh all gains of degraded ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from refvid.models.mini.alignment import Picture
from refvid.models.mini.autoencoder import MiniBackbone
from refvid.models.mini.condition import (
    CONDITION_CHANNELS,
    doubt,
    measure_losses,
    measure_naturalness,
)
from refvid.models.mini.decoder import ChangeShare
from refvid.training.degradations import Degradation, degrade
from refvid.training.neighbour_fit import Draws, Row, collect, draw_ways, measure_change

Frames = NDArray[np.uint8]

_FITS = 3
_STEPS = 1200
_BATCH = 256
_RATE = 1e-2
_DROPPED = 0.1
_NOISE = 0.05
"""What is added to conditions while learning, in their standard deviations."""

_MOST_DB = 1.5
"""Losses much beyond count alike."""

_WANTED = 3.0
"""What a frame weighs where the change can help, beside one where it can only harm."""

_HARM = 2.0
"""What a decibel below the input counts, besides."""

_SOFTENED = 0.3
"""Share of clips that are softened on purpose."""


def draw_changes(
    backbone: MiniBackbone, clips: Sequence[Path], count: int, rng: random.Random
) -> Draws:
    """Degrade clips, and look at what the network does to their middle frames.

    Args:
        backbone: mini.
        clips: Clean videos; those with fewer than five frames are passed over.
        count: How many frames.
        rng: Draws everything.

    Raises:
        ValueError: There is no clip.
    """

    def look(clip: Frames) -> Iterator[Row]:
        is_soft = rng.random() < _SOFTENED
        clean = _soften(clip, rng) if is_soft else clip
        middle = len(clean) // 2
        for degradation in _slight_ways(rng) if is_soft else draw_ways(rng):
            lossy = clean if degradation is None else degrade(clean, degradation)
            yield _look(backbone, clean[middle], lossy[middle])

    return collect(clips, count, rng, look)


def fit_change(draws: Draws) -> ChangeShare:
    """Learn the shares that are nearly best."""
    middle, spread = draws.condition.mean(0), draws.condition.std(0) + 0.1
    nets = [_learn(draws, (draws.condition - middle) / spread, seed) for seed in range(_FITS)]
    fitted = ChangeShare()
    with torch.no_grad():
        weight = torch.cat([hidden.weight for hidden, _ in nets])
        bias = torch.cat([hidden.bias for hidden, _ in nets])
        fitted.hidden.weight.copy_(weight / spread)
        fitted.hidden.bias.copy_(bias - weight @ (middle / spread))
        fitted.answer.weight.copy_(torch.cat([answer.weight for _, answer in nets], 1) / _FITS)
        fitted.answer.bias.copy_(torch.stack([answer.bias for _, answer in nets]).mean(0))
    return fitted


def _learn(draws: Draws, conditions: Tensor, seed: int) -> tuple[nn.Linear, nn.Linear]:
    torch.manual_seed(seed)
    empty = ChangeShare()
    hidden = nn.Linear(CONDITION_CHANNELS, empty.hidden.out_features // _FITS)
    answer = nn.Linear(hidden.out_features, 1)
    net = nn.Sequential(hidden, nn.SiLU(), nn.Dropout(_DROPPED), answer)
    optimizer = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=_STEPS)
    best = draws.gain((draws.agreement / draws.change.clamp(min=1e-6)).clamp(0, 1))
    weight = torch.where(draws.agreement > 0.5 * draws.change, _WANTED, 1.0)
    for _ in range(_STEPS):
        chosen = torch.randint(len(conditions), (_BATCH,))
        seen = conditions[chosen]
        share = net(seen + _NOISE * torch.randn_like(seen)).sigmoid()[:, 0]
        gain = Draws(*(column[chosen] for column in draws)).gain(share)
        missed = weight[chosen] * _at_most(best[chosen] - gain)
        optimizer.zero_grad()
        (missed + _HARM * _at_most((-gain).clamp(min=0))).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return hidden, answer


def _at_most(decibels: Tensor) -> Tensor:
    return _MOST_DB * (decibels / _MOST_DB).tanh()


def _soften(clip: Frames, rng: random.Random) -> Frames:
    """A clip as through a soft lens, or enlarged; often with grain."""
    height, width = clip.shape[1:3]
    sigma, scale = rng.uniform(0.5, 2.5), rng.uniform(1.2, 2.5)
    grain = rng.uniform(0.5, 3.5) if rng.random() < 0.6 else 0.0
    colors = rng.choice((1, 3))
    generator = np.random.default_rng(rng.getrandbits(32))
    is_enlarged = rng.random() < 0.4
    frames = []
    for frame in clip:
        if is_enlarged:
            small = cv2.resize(
                frame, (round(width / scale), round(height / scale)), interpolation=cv2.INTER_AREA
            )
            soft = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        else:
            soft = cv2.GaussianBlur(frame, (0, 0), sigma)
        noise = generator.normal(0, grain, (height, width, colors)) if grain else 0.0
        frames.append((soft + noise).round().clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def _slight_ways(rng: random.Random) -> Iterator[Degradation | None]:
    yield None
    for _ in range(3):
        yield Degradation(crf=rng.randint(2, 12))


@torch.inference_mode()
def _look(backbone: MiniBackbone, clean: Picture, lossy: Picture) -> Row:
    frame = torch.from_numpy(lossy).movedim(-1, 0)[None].float().div(127.5).sub(1)
    latents = backbone.codec.encode(frame)
    condition = measure_losses(latents, frame)
    fused = backbone.fuse(frame, doubt(condition, measure_naturalness(latents)), None)
    change = (fused - frame)[0].mul(127.5).movedim(0, -1).numpy()
    return measure_change(condition[0].clone(), clean, lossy, change)
