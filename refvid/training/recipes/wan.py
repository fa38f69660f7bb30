"""How the Wan 2.1 backbone is trained: the paper's recipe (arXiv:2605.15196, appendix B.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Tensor, nn

from refvid.errors import OptionError
from refvid.models.wan.autoencoder import WanAutoencoder
from refvid.models.wan.blocks import Past
from refvid.training.batch import Batch
from refvid.training.config import SampleOptions
from refvid.training.dropout import token_mask
from refvid.training.recipes.recipe import ParameterGroup, Recipe, full_precision, without_prefix


class WanRecipe(Recipe):
    """Encoder and both 1x1x1 convolutions are frozen; attention and reference tokens are new."""

    backbone = "wan2.1"

    def __init__(self, model: WanAutoencoder, *, unconditional: bool = False) -> None:
        super().__init__()
        self.unconditional = unconditional
        self.model = model.float().requires_grad_(False)
        for group in self.parameter_groups():
            for parameter in group.parameters:
                parameter.requires_grad_(True)

    def forward(self, batch: Batch) -> Tensor:
        latents = batch.latents
        if latents is None:
            assert batch.clip is not None, "a batch holds a clip or latents"
            latents = self._encode(batch.clip)
        decoder = self.model.ae.decoder
        past: Past = {}
        x = self.model.ae.post_quant_conv(latents.movedim(1, -1).contiguous())
        if batch.token_dropout > 0:
            mask = token_mask(x.shape[2], x.shape[3], batch.token_dropout, batch.seed)
            x = x * mask.to(x.device)[..., None]
        attention = None if self.unconditional else self.model.transformer
        reference = None
        if batch.reference is not None and attention is not None:
            reference = self.model.embed_reference(batch.reference)
        frames = latents.shape[2] * 4
        pixels: Tensor = decoder.body(decoder.head(x, past), reference, attention, past, frames)
        return pixels.movedim(-1, 1)

    def _encode(self, clip: Tensor) -> Tensor:
        with torch.no_grad(), full_precision(clip.device):
            posterior, _ = self.model.encode(clip)
        return posterior.mean

    def parameter_groups(self) -> list[ParameterGroup]:
        decoder = self.model.ae.decoder
        new: list[nn.Parameter] = [
            *self.model.transformer.parameters(),
            *decoder.ref_conv_in.parameters(),
        ]
        known = {id(parameter) for parameter in new}
        old = [parameter for parameter in decoder.parameters() if id(parameter) not in known]
        return [
            ParameterGroup("attention", new, pretrained=False),
            ParameterGroup("decoder", old, pretrained=True),
        ]

    def check_samples(self, samples: SampleOptions) -> None:
        if samples.frames % 4 != 1:
            raise OptionError(
                f"{self.backbone} decodes clips of 4k + 1 frames, not {samples.frames}."
            )
        if not samples.consecutive or samples.crop != samples.reference_crop:
            raise OptionError(
                f"{self.backbone} needs samples.consecutive, and samples.reference_crop equal to "
                "samples.crop: its reference has the frames' size."
            )

    def latent_frames(self, frames: int) -> int:
        return (frames - 1) // 4 + 1

    @torch.no_grad()
    def reverse_latents(self, latents: Tensor) -> Tensor:
        clip, _ = self.model.decode(latents, attention=False)
        return self._encode(clip.flip(2))

    def weights_file(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
        metadata = {
            "format": "pt",
            "backbone": self.backbone,
            "network": json.dumps(asdict(self.model.config)),
        }
        return without_prefix(state, "model."), metadata
