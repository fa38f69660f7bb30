"""How the VideoVAE+ backbone is trained: the paper's recipe (arXiv:2605.15196, appendix B.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Tensor, nn

from refvid.errors import OptionError
from refvid.models.videovaeplus.autoencoder import VideoVaePlusAutoencoder
from refvid.training.batch import Batch
from refvid.training.config import SampleOptions
from refvid.training.dropout import token_mask
from refvid.training.recipes.recipe import ParameterGroup, Recipe, full_precision, without_prefix


class VideoVaePlusRecipe(Recipe):
    """Both encoders are frozen; attention, its norms and the reference tokens are new."""

    backbone = "videovae+"

    def __init__(self, model: VideoVaePlusAutoencoder, *, unconditional: bool = False) -> None:
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
        if batch.token_dropout > 0:
            height, width = latents.shape[-2:]
            mask = token_mask(height, width, batch.token_dropout, batch.seed)
            latents = latents * mask.to(latents.device)
        reference = None
        if batch.reference is not None and not self.unconditional:
            reference = self.model.embed_reference(batch.reference)
        return self.model.decode(latents, reference, attention=not self.unconditional)

    def _encode(self, clip: Tensor) -> Tensor:
        with torch.no_grad(), full_precision(clip.device):
            return self.model.encode(clip).mean

    def parameter_groups(self) -> list[ParameterGroup]:
        model = self.model
        norms = (model.decoder.pre_transformer_norms, model.decoder.pre_transformer_norms_ref)
        new = [
            parameter
            for module in (model.transformer, model.ref_conv_in, *norms)
            for parameter in module.parameters()
        ]
        known = {id(parameter) for parameter in new}
        old: list[nn.Parameter] = [
            parameter
            for module in (model.decoder_temporal, model.decoder)
            for parameter in module.parameters()
            if id(parameter) not in known
        ]
        return [
            ParameterGroup("attention", new, pretrained=False),
            ParameterGroup("decoder", old, pretrained=True),
        ]

    def check_samples(self, samples: SampleOptions) -> None:
        if samples.frames % 4 or samples.frames > 16:
            raise OptionError(
                f"{self.backbone} decodes clips of 4, 8, 12 or 16 frames, not {samples.frames}."
            )
        if not samples.consecutive or samples.crop != samples.reference_crop:
            raise OptionError(
                f"{self.backbone} needs samples.consecutive, and samples.reference_crop equal to "
                "samples.crop: its reference has the frames' size."
            )

    def latent_frames(self, frames: int) -> int:
        return frames // 4

    @torch.no_grad()
    def reverse_latents(self, latents: Tensor) -> Tensor:
        clip = self.model.decode(latents, attention=False)
        return self._encode(clip.clamp(-1, 1).flip(2))

    def weights_file(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
        metadata = {
            "format": "pt",
            "backbone": self.backbone,
            "network": json.dumps(asdict(self.model.config)),
        }
        return without_prefix(state, "model."), metadata
