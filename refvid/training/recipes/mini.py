"""How the mini backbone is trained: its codec is fixed, all of its decoder is new."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refvid.models.mini.alignment import FramePlaced, find_coarse
from refvid.models.mini.autoencoder import to_aligned, to_pictures, to_shades
from refvid.models.mini.condition import measure_losses
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder
from refvid.models.mini.fusion import Aligned, take_colors
from refvid.models.mini.mixing import Followed, mix
from refvid.models.patch_codec import PatchCodec
from refvid.models.registry import MINI
from refvid.training.aligned_samples import AlignedSampleDrawer
from refvid.training.batch import Batch
from refvid.training.clips import CachedClip, TrainingClip
from refvid.training.dropout import drop_tokens
from refvid.training.loader import BatchSource
from refvid.training.recipes.framewise import FramewiseRecipe
from refvid.training.recipes.recipe import full_precision
from refvid.training.sample_options import SampleOptions
from refvid.training.samples import SampleDrawer, to_unit


class MiniRecipe(FramewiseRecipe):
    """Frames are independent of each other; references come aligned, or are aligned here."""

    backbone = MINI

    def __init__(self, config: MiniConfig, *, unconditional: bool = False) -> None:
        super().__init__(config, unconditional=unconditional)
        self.codec = PatchCodec()
        self.decoder: MiniDecoder = MiniDecoder(config).to(
            memory_format=torch.channels_last  # type: ignore[call-overload]  # not in torch's stubs
        )

    def forward(self, batch: Batch) -> Tensor:
        source = batch.clip if batch.clip is not None else batch.latents
        assert source is not None, "a batch holds a clip or latents"
        clips = source.shape[0]
        flat = _frames_first(source)  # (T * B, 3 or C, H, W)
        with full_precision(flat.device):
            latents = self.codec.encode(flat) if batch.clip is not None else flat
            frames = self.codec.decode(drop_tokens(latents, batch.token_dropout, batch.seed))
            if batch.condition is not None:
                condition = batch.condition.transpose(0, 1).flatten(0, 1)
            else:
                condition = measure_losses(latents, frames)
            aligned = None if self.unconditional else _aligned(batch, frames)
        output: Tensor = self.decoder(frames, condition, aligned)
        return output.view(-1, clips, *output.shape[1:]).permute(1, 2, 0, 3, 4)

    def draw_from(
        self, clips: Sequence[TrainingClip | CachedClip], samples: SampleOptions, seed: int
    ) -> BatchSource:
        if samples.consecutive:  # references that are frames among them are aligned here
            return SampleDrawer(clips, samples, seed, FrameCondition())
        return AlignedSampleDrawer(clips, samples, seed, FrameCondition())

    def check_samples(self, samples: SampleOptions) -> None:
        """Any number of frames of any size will do."""


class FrameCondition:
    """Whole frames, (T, H, W, 3) uint8 -> their conditions, (T, C)."""

    def __init__(self) -> None:
        self.codec = PatchCodec()

    def __call__(self, frames: NDArray[np.uint8]) -> Tensor:
        height, width = (side // 8 * 8 for side in frames.shape[1:3])
        pixels = to_unit(frames[:, :height, :width])
        return measure_losses(self.codec.encode(pixels), pixels)


def _frames_first(clips: Tensor) -> Tensor:
    """(B, C, T, H, W) -> (T * B, C, H, W)."""
    return clips.permute(2, 0, 1, 3, 4).flatten(0, 1)


def _aligned(batch: Batch, frames: Tensor) -> Aligned | None:
    """What the references give to frames (T * B, 3, H, W)."""
    if batch.aligned is not None:
        pixels = _frames_first(batch.aligned.pixels)
        return Aligned(take_colors(pixels, frames), _frames_first(batch.aligned.trust))
    if batch.reference is not None:
        return _align_here(frames, batch.reference, batch.origin)
    return None


def _align_here(frames: Tensor, references: Tensor, origin: Tensor) -> Aligned:
    """Align the places of references (B, 3, H', W') that frames (T * B, 3, H, W) are cut from."""
    clips, (height, width) = references.shape[0], frames.shape[-2:]
    found = []
    for number, frame in enumerate(torch.split(frames.detach(), 1)):
        top, left = origin[number % clips].tolist()
        spot = slice(top, top + height), slice(left, left + width)
        placed = FramePlaced(to_pictures(references[number % clips, :, spot[0], spot[1]][None])[0])
        shades = to_shades(frame)
        mixed = mix(shades, [Followed(0, placed, find_coarse(shades, placed.shades))])
        assert mixed is not None, "there is a reference"
        found.append(to_aligned(mixed, frame))
    return Aligned(
        torch.cat([one.pixels for one in found]), torch.cat([one.trust for one in found])
    )
