"""A narrow codec and a small decoder behind it: what the paper's backbone is at this scale.

The paper freezes a learned encoder of 16 latents per 8x8x4 pixels. Here the frozen encoder is the
best linear one of that size: the principal components of the training clips' patches.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from refvid.models.mini.condition import CONDITION_CHANNELS
from refvid.models.mini.config import MiniConfig
from refvid.training.batch import Batch
from refvid.training.clips import CachedClip, TrainingClip
from refvid.training.dropout import drop_tokens
from refvid.training.recipes.mini import MiniRecipe
from refvid.training.recipes.recipe import full_precision
from refvid.training.samples import to_unit

SIDE, LENGTH, LATENTS = 8, 4, 16
"""Pixels a side and frames of a patch, and what is kept of its 768 values: Wan 2.1's ratio, 48."""

GROUPS_PER_CLIP = 2
"""Times four frames that the components are estimated from, of every training clip."""


class NarrowCodec(nn.Module):
    """Orthonormal projection of centred patches; a latent of 0 is the mean patch."""

    mean: Tensor
    """(768,)"""

    basis: Tensor
    """(16, 768), orthonormal rows."""

    def __init__(self, mean: Tensor, basis: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("basis", basis, persistent=False)

    def encode(self, clip: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1] -> (B, 16, T/4, H/8, W/8); T, H, W multiples of 4, 8, 8."""
        return ((patches_of(clip) - self.mean) @ self.basis.T).movedim(-1, 1)

    def decode(self, latents: Tensor) -> Tensor:
        """(B, 16, t, h, w) -> (B, 3, 4t, 8h, 8w), not clamped."""
        patches = latents.movedim(1, -1) @ self.basis + self.mean
        batch, t, h, w, _ = patches.shape
        grid = patches.view(batch, t, h, w, 3, LENGTH, SIDE, SIDE).permute(0, 4, 1, 5, 2, 6, 3, 7)
        return grid.reshape(batch, 3, t * LENGTH, h * SIDE, w * SIDE)


def patches_of(clip: Tensor) -> Tensor:
    """(B, 3, T, H, W) -> (B, T/4, H/8, W/8, 768)."""
    batch, _, frames, height, width = clip.shape
    t, h, w = frames // LENGTH, height // SIDE, width // SIDE
    grid = clip.reshape(batch, 3, t, LENGTH, h, SIDE, w, SIDE)
    return grid.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(batch, t, h, w, -1)


def fit_codec(clips: Sequence[TrainingClip | CachedClip], latents: int = LATENTS) -> NarrowCodec:
    """Estimate the principal components of the clips' patches; every clip counts the same."""
    size = 3 * LENGTH * SIDE**2
    mean, moments = torch.zeros(size), torch.zeros(size, size)
    rng = random.Random(0)
    for clip in clips:
        frames = clip.open().clean
        starts = [rng.randrange(len(frames) - LENGTH + 1) for _ in range(GROUPS_PER_CLIP)]
        groups = torch.stack([to_unit(frames[s : s + LENGTH].copy()) for s in starts])
        patches = patches_of(groups.transpose(1, 2)).flatten(0, -2)
        mean += patches.mean(0) / len(clips)
        moments += patches.T @ patches / (len(patches) * len(clips))
    _, vectors = torch.linalg.eigh((moments - mean.outer(mean)).double())
    return NarrowCodec(mean, vectors[:, -latents:].flip(1).T.float().contiguous())


def load_or_fit_codec(path: Path, clips: Sequence[TrainingClip | CachedClip]) -> NarrowCodec:
    """The codec of a file; where there is none, estimate it and write the file."""
    if not path.exists():
        codec = fit_codec(clips)
        save_file({"mean": codec.mean, "basis": codec.basis}, path)
    return NarrowCodec(**load_file(path))


class NarrowRecipe(MiniRecipe):
    """What the narrow codec lost takes the place of a degraded video: mini's decoder mends it."""

    def __init__(
        self, narrow: NarrowCodec, config: MiniConfig, *, unconditional: bool = False
    ) -> None:
        super().__init__(config, unconditional=unconditional)
        self.narrow = narrow

    def forward(self, batch: Batch) -> Tensor:
        assert batch.clip is not None, "there are no saved latents of this codec"
        with full_precision(batch.clip.device):
            latents = self.narrow.encode(batch.clip)
            decoded = self.narrow.decode(drop_tokens(latents, batch.token_dropout, batch.seed))
        clips, _, frames = decoded.shape[:3]
        # All clips lost the same way: their conditions have nothing to tell, and dropped tokens
        # would change them in training only.
        condition = decoded.new_zeros(clips, frames, CONDITION_CHANNELS)
        return super().forward(replace(batch, clip=decoded, token_dropout=0.0, condition=condition))
