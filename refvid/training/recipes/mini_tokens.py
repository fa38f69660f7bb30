"""How tokenizers are trained: RefTok, its twin that sees no reference, and VTok."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.models.mini_tokens.config import (
    FRAMES,
    MOTION_GRID,
    MiniReftokConfig,
    MiniVtokConfig,
)
from refvid.models.mini_tokens.motion import (
    code_frame_motion,
    decode_frame_motion,
    find_motion,
    move_reference,
    search_motion,
)
from refvid.models.mini_tokens.network import MiniReftok
from refvid.models.mini_tokens.vtok import MiniVtok
from refvid.models.mini_tokens.warp import warp
from refvid.models.registry import MINI_REFTOK, MINI_REFTOK_16, MINI_REFTOK_TWIN, MINI_VTOK
from refvid.training.batch import Batch
from refvid.training.clips import CachedClip, TrainingClip
from refvid.training.loader import BatchSource
from refvid.training.recipes.recipe import full_precision
from refvid.training.recipes.tokens import TokensRecipe
from refvid.training.sample_options import SampleOptions
from refvid.training.token_samples import TokenSampleDrawer

_TRIED = (2,)
"""Steps by which motion is refined in training: all of them would take most of its time."""


class MiniReftokRecipe(TokensRecipe):
    """Blocks with their references, which are moved as in use: that learns nothing."""

    backbone: ClassVar[str] = MINI_REFTOK
    block_frames = FRAMES

    def __init__(self, config: MiniReftokConfig) -> None:
        super().__init__(config)
        self.network: MiniReftok = MiniReftok(config)

    def forward(self, batch: Batch) -> Tensor:
        frames: Tensor = self.network(*self._given(batch))
        return frames.transpose(1, 2)

    def linear_pairs(self, batch: Batch) -> tuple[nn.Conv2d, Tensor, Tensor]:
        block, moved, _ = self._given(batch)
        return linear_pairs(self.network, block, moved)

    def _given(self, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The block, the moved reference and the reference, as `MiniReftok` takes them."""
        assert batch.clip is not None, "the drawer gives clips"
        block = batch.clip.transpose(1, 2)
        if not self.config.reference:
            return block, None, None
        reference = batch.reference
        assert reference is not None, "and references"
        with torch.no_grad(), full_precision(block.device):
            side = self.config.side
            found = [
                find_motion(*one, side, steps=_TRIED)[0]
                for one in zip(block, reference, strict=True)
            ]
            motion = torch.cat(found).to(block.device)
            return block, move_reference(reference, motion, side), reference


def linear_pairs(
    network: MiniReftok, block: Tensor, moved: Tensor | None
) -> tuple[nn.Conv2d, Tensor, Tensor]:
    """See `TokensRecipe.linear_pairs`: squares of the block, or of its difference."""
    codes = network.quantiser.quantise(network.encoder(block, moved))
    wanted = block if moved is None else block - moved
    squares = functional.pixel_unshuffle(wanted.flatten(0, 1), network.config.side)
    squares = squares.reshape(len(block), -1, *squares.shape[2:])
    return network.decoder.linear, network.quantiser.expand(codes), squares


class MiniReftok16Recipe(MiniReftokRecipe):
    """Of larger squares."""

    backbone = MINI_REFTOK_16


class MiniReftokTwinRecipe(MiniReftokRecipe):
    """Without any reference."""

    backbone = MINI_REFTOK_TWIN


class MiniVtokRecipe(TokensRecipe):
    """A key frame, and frames at some distance from it; both are judged."""

    backbone = MINI_VTOK
    block_frames = FRAMES

    def __init__(self, config: MiniVtokConfig) -> None:
        super().__init__(config)
        self.network: MiniVtok = MiniVtok(config)

    def forward(self, batch: Batch) -> Tensor:
        assert batch.clip is not None, "the drawer gives clips"
        assert batch.reference is not None, "and key frames, as references"
        frames, network = batch.clip.transpose(1, 2), self.network
        key: Tensor = network.key(batch.reference[:, None], None, None)
        with torch.no_grad(), full_precision(frames.device):
            cells = MOTION_GRID, MOTION_GRID
            found = [
                search_motion(*one, cells)[0] for one in zip(frames, batch.reference, strict=True)
            ]
            codes = code_frame_motion(torch.cat(found)).to(frames.device)
            moves = decode_frame_motion(codes, (frames.shape[-2], frames.shape[-1]))
            # What mends later frames has no say in what key frames look like.
            seen = key.detach()[:, 0].clamp(-1, 1).repeat_interleave(frames.shape[1], 0)
            moved = warp(seen, moves)
        learned = network.numbers(frames.flatten(0, 1), moved)
        later = network.mended(moved, network.quantiser.quantise(learned))
        return torch.cat((key, later.view_as(frames)), 1).transpose(1, 2)

    def linear_pairs(self, batch: Batch) -> tuple[nn.Conv2d, Tensor, Tensor]:
        assert batch.reference is not None, "the drawer gives key frames, as references"
        return linear_pairs(self.network.key, batch.reference[:, None], None)

    def draw_from(
        self, clips: Sequence[TrainingClip | CachedClip], samples: SampleOptions, seed: int
    ) -> BatchSource:
        return _KeyFrameDrawer(clips, samples, seed)


class _KeyFrameDrawer(TokenSampleDrawer):
    """References are the first frames of what shall be decoded."""

    def draw(self, index: int) -> Batch:
        batch = super().draw(index)
        assert batch.reference is not None, "it draws one"
        target = torch.cat((batch.reference[:, :, None], batch.target), 2)
        return replace(batch, target=target)
