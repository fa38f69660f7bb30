"""Draws samples for latent fine-tuning: latents of a diffusion model, and the picture they show.

RefDecoder, arXiv:2605.15196, appendix G. Nobody knows the frames that such latents stand for, but
for one: the first shows the reference. In latents reversed in time it is the last.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from refvid.training.batch import Batch
from refvid.training.dropout import draw_token_dropout
from refvid.training.sample_options import SampleOptions

FORWARD, REVERSED, REFERENCE = "forward", "reversed", "reference"


@dataclass(frozen=True, slots=True)
class LatentClip:
    """One cached file: latents forward and reversed, (C, t, h, w) float32, and the reference,
    (3, H, W) uint8.
    """

    path: Path
    size: tuple[int, int]
    """Height and width of its latents."""


class LatentDrawer:
    """Random batches, each determined by the seed and its number alone.

    Args:
        clips: All of the length that `options.frames` asks for.
        options: `clips`, `frames`, `crop` and `token_dropout` count.
        stride: Pixels per latent position.
        bidirectional: Half of the batches are reversed in time.
        seed: Of all draws.
    """

    def __init__(
        self,
        clips: Sequence[LatentClip],
        options: SampleOptions,
        *,
        stride: int,
        bidirectional: bool,
        seed: int = 0,
    ) -> None:
        self.options, self.stride = options, stride
        self.bidirectional, self.seed = bidirectional, seed
        self.side = options.crop // stride
        self.clips = [clip for clip in clips if min(clip.size) >= self.side]

    def draw(self, index: int) -> Batch:
        """Draw the batch of that number."""
        options = self.options
        rng = random.Random(f"{self.seed}:latents:{index}")
        is_reversed = self.bidirectional and rng.random() < 0.5
        pairs = [self._sample(rng, is_reversed=is_reversed) for _ in range(options.clips)]
        references = torch.stack([reference for _, reference in pairs])
        return Batch(
            latents=torch.stack([latents for latents, _ in pairs]),
            target=references[:, :, None],
            reference=references,
            origin=torch.zeros(options.clips, 2, dtype=torch.int64),
            supervised=options.frames - 1 if is_reversed else 0,
            token_dropout=draw_token_dropout(rng, options.token_dropout),
            seed=rng.randrange(2**31),
        )

    def _sample(self, rng: random.Random, *, is_reversed: bool) -> tuple[Tensor, Tensor]:
        """The same window of latents and reference."""
        clip = rng.choice(self.clips)
        top, left = (rng.randrange(extent - self.side + 1) for extent in clip.size)
        with safe_open(clip.path, framework="pt") as file:
            latents = file.get_slice(REVERSED if is_reversed else FORWARD)
            window = latents[:, :, top : top + self.side, left : left + self.side]
            reference = file.get_slice(REFERENCE)
            scale = self.stride
            pixels = reference[
                :,
                top * scale : (top + self.side) * scale,
                left * scale : (left + self.side) * scale,
            ]
        return window.clone(), pixels.float().div_(127.5).sub_(1)
