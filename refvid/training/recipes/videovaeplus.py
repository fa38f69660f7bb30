"""How the VideoVAE+ backbone is trained: the paper's recipe (arXiv:2605.15196, appendix B.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from refvid.errors import OptionError
from refvid.models.registry import VIDEOVAE_PLUS
from refvid.models.videovaeplus.autoencoder import VideoVaePlusAutoencoder
from refvid.training.batch import Batch
from refvid.training.dropout import drop_tokens
from refvid.training.recipes.pretrained import PretrainedRecipe
from refvid.training.sample_options import SampleOptions


class VideoVaePlusRecipe(PretrainedRecipe[VideoVaePlusAutoencoder]):
    """Both encoders are frozen; attention, its norms and the reference tokens are new."""

    backbone = VIDEOVAE_PLUS
    reference_tokens = "ref_conv_in"
    new_keys = ("transformer.", "decoder.pre_transformer_norms")

    def forward(self, batch: Batch) -> Tensor:
        latents = drop_tokens(self._latents_of(batch), batch.token_dropout, batch.seed)
        return self.model.decode(
            latents, self._reference_of(batch), attention=not self.unconditional
        )

    def _posterior_mode(self, clip: Tensor) -> Tensor:
        return self.model.encode(clip).mean

    def _new_modules(self) -> Sequence[nn.Module]:
        model = self.model
        norms = (model.decoder.pre_transformer_norms, model.decoder.pre_transformer_norms_ref)
        return model.transformer, model.ref_conv_in, *norms

    def _decoder_modules(self) -> Sequence[nn.Module]:
        return self.model.decoder_temporal, self.model.decoder

    def check_samples(self, samples: SampleOptions) -> None:
        if samples.frames % 4 or samples.frames > 16:
            raise OptionError(
                f"{self.backbone} decodes clips of 4, 8, 12 or 16 frames, not {samples.frames}."
            )
        super().check_samples(samples)

    def latent_frames(self, frames: int) -> int:
        return frames // 4

    @torch.no_grad()
    def reverse_latents(self, latents: Tensor) -> Tensor:
        clip = self.model.decode(latents, attention=False)
        return self._encode(clip.clamp(-1, 1).flip(2))
