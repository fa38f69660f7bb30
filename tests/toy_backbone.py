"""A backbone that refvid does not know: what another program would write to `register` its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.models.backbone import Backbone, BackboneLimits, Decoded, Encoded
from refvid.models.registry import BackboneSpec, Parts
from refvid.training.batch import Batch
from refvid.training.recipes.framewise import FramewiseRecipe
from refvid.training.sample_options import SampleOptions

STRIDE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyConfig:
    """Sizes of the network."""

    width: int = 4


class ToyDecoder(nn.Module):
    """Latents enlarged, beside the reference -> pixels."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(6, config.width, 1), nn.Conv2d(config.width, 3, 1))

    def forward(self, latents: Tensor, reference: Tensor | None) -> Tensor:
        """(T, 3, h, w), (1 or T, 3, 8h, 8w) -> (T, 3, 8h, 8w)."""
        large = functional.interpolate(latents, scale_factor=STRIDE)
        seen = torch.zeros_like(large) if reference is None else reference.expand_as(large)
        return large + 0.1 * self.layers(torch.cat((large, seen), 1)).tanh()


class ToyBackbone:
    """`Backbone`; frame by frame, a latent is the mean of 8x8 pixels."""

    name = "toy"
    limits = BackboneLimits(
        size_multiple=STRIDE,
        min_size=16,
        temporal_stride=1,
        first_chunk_extra=0,
        default_chunk=4,
        max_chunk=8,
    )

    def __init__(
        self, decoder: nn.Module, config: ToyConfig, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.decoder = decoder.eval().requires_grad_(False).to(device, dtype)

    @torch.inference_mode()
    def encode(self, clip: Tensor, state: Any = None) -> Encoded:
        return Encoded(functional.avg_pool3d(clip, (1, STRIDE, STRIDE)), None)

    def prepare_reference(self, reference: Tensor) -> Tensor:
        return reference.to(self.device, self.dtype)

    @torch.inference_mode()
    def decode(
        self, latents: Tensor, reference: Any = None, state: Any = None, *, tile: int | None = None
    ) -> Decoded:
        frames = self.decoder(latents[0].transpose(0, 1).to(self.dtype), reference)
        return Decoded(frames.transpose(0, 1)[None].clamp(-1, 1), None)

    def working_bytes(self, height: int, width: int, frames: int, tile: int | None) -> int:
        return 200 * height * width * frames

    def plain(self) -> Backbone | None:
        return None

    def bound_memory(self) -> None:
        pass


class ToyRecipe(FramewiseRecipe):
    """Clips come degraded, as for mini."""

    backbone = "toy"

    def __init__(self, config: ToyConfig, *, unconditional: bool = False) -> None:
        super().__init__(config, unconditional=unconditional)
        self.decoder = ToyDecoder(config)

    def forward(self, batch: Batch) -> Tensor:
        assert batch.clip is not None
        latents = functional.avg_pool3d(batch.clip, (1, STRIDE, STRIDE))
        size, length = batch.clip.shape[3:], batch.clip.shape[2]
        reference = batch.reference
        if reference is not None:
            reference = functional.interpolate(reference, size).repeat_interleave(length, 0)
        frames = self.decoder(latents.transpose(1, 2).flatten(0, 1), reference)
        return frames.unflatten(0, (-1, length)).transpose(1, 2)

    def check_samples(self, samples: SampleOptions) -> None:
        pass


DEFAULTS = {"data": {"variants": 1}, "samples": {"frames": 2}, "run": {"steps": 2}}

SPEC = BackboneSpec(
    name="toy",
    kind="restore",
    parts=lambda: Parts(ToyConfig, ToyDecoder, lambda *made: ToyBackbone(*made[:4])),
    description="the mean of 8x8 pixels",
    recipe="tests.toy_backbone:ToyRecipe",
    recipe_defaults="tests.toy_backbone:DEFAULTS",
)
