"""How the mini backbone is trained: its codec is fixed, all of its decoder is new."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refvid.models.mini.attention import Attended
from refvid.models.mini.codec import PatchCodec
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder, spectrum_of
from refvid.models.mini.matching import TOKEN, index_reference, match_tokens
from refvid.models.registry import MINI
from refvid.training.batch import Batch
from refvid.training.config import SampleOptions
from refvid.training.dropout import drop_tokens
from refvid.training.recipes.framewise import FramewiseRecipe
from refvid.training.recipes.recipe import full_precision
from refvid.training.samples import Describe, to_unit


class MiniRecipe(FramewiseRecipe):
    """Frames are independent of each other; a reference may be larger than they are."""

    backbone = MINI

    def __init__(self, config: MiniConfig, *, unconditional: bool = False) -> None:
        super().__init__(config, unconditional=unconditional)
        self.codec = PatchCodec(config)
        self.decoder: MiniDecoder = MiniDecoder(config).to(
            memory_format=torch.channels_last  # type: ignore[call-overload]  # not in torch's stubs
        )

    def forward(self, batch: Batch) -> Tensor:
        source = batch.clip if batch.clip is not None else batch.latents
        assert source is not None, "a batch holds a clip or latents"
        clips = source.shape[0]
        # Frames first: attention takes one frame per reference.
        flat = source.permute(2, 0, 1, 3, 4).flatten(0, 1)  # (T * B, 3 or C, H, W)
        with full_precision(flat.device):
            latents = self.codec.encode(flat) if batch.clip is not None else flat
            frames = self.codec.decode(drop_tokens(latents, batch.token_dropout, batch.seed))
        spectrum = spectrum_of(latents)
        if batch.spectrum is not None:
            spectrum = batch.spectrum.transpose(0, 1).flatten(0, 1)
        attended = None
        if batch.reference is not None and not self.unconditional:
            attended = self._attend(frames, clips, batch.reference, batch.origin)
        output: Tensor = self.decoder(frames, spectrum, attended)
        return output.view(-1, clips, *output.shape[1:]).permute(1, 2, 0, 3, 4)

    def _attend(self, frames: Tensor, clips: int, reference: Tensor, origin: Tensor) -> Attended:
        index = index_reference(reference)
        keys = self.decoder.attention.map_reference(reference)
        found = [
            self.decoder.attention(part, keys, match_tokens(part, index, origin=origin))
            for part in torch.split(frames, clips)
        ]
        return Attended(
            torch.cat([f.values for f in found]), torch.cat([f.statistics for f in found])
        )

    def describe(self) -> Describe:
        return FrameSpectrum(self.config)

    def check_samples(self, samples: SampleOptions) -> None:
        """Any number of frames of any size will do."""


class FrameSpectrum:
    """Whole frames, (T, H, W, 3) uint8 -> their spectra, (T, C)."""

    def __init__(self, config: MiniConfig) -> None:
        self.codec = PatchCodec(config)

    def __call__(self, frames: NDArray[np.uint8]) -> Tensor:
        height, width = (side // TOKEN * TOKEN for side in frames.shape[1:3])
        return spectrum_of(self.codec.encode(to_unit(frames[:, :height, :width])))
