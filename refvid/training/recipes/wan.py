"""How the Wan 2.1 backbone is trained: the paper's recipe (arXiv:2605.15196, appendix B.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from refvid.errors import OptionError
from refvid.models.registry import WAN
from refvid.models.wan.autoencoder import WanAutoencoder
from refvid.models.wan.past import Past
from refvid.training.batch import Batch
from refvid.training.dropout import token_mask
from refvid.training.recipes.pretrained import PretrainedRecipe
from refvid.training.sample_options import SampleOptions


class WanRecipe(PretrainedRecipe[WanAutoencoder]):
    """Encoder and both 1x1x1 convolutions are frozen; attention and reference tokens are new."""

    backbone = WAN
    reference_tokens = "ae.decoder.ref_conv_in"
    new_keys = ("transformer.",)
    plain_prefix = "ae."

    def forward(self, batch: Batch) -> Tensor:
        latents = self._latents_of(batch)
        decoder = self.model.ae.decoder
        past: Past = {}
        x = self.model.ae.post_quant_conv(latents.movedim(1, -1).contiguous())
        if batch.token_dropout > 0:
            mask = token_mask(x.shape[2], x.shape[3], batch.token_dropout, batch.seed)
            x = x * mask.to(x.device)[..., None]
        attention = None if self.unconditional else self.model.transformer
        frames = latents.shape[2] * 4
        pixels: Tensor = decoder.body(
            decoder.head(x, past), self._reference_of(batch), attention, past, frames
        )
        return pixels.movedim(-1, 1)

    def _posterior_mode(self, clip: Tensor) -> Tensor:
        posterior, _ = self.model.encode(clip)
        return posterior.mean

    def _new_modules(self) -> Sequence[nn.Module]:
        return self.model.transformer, self.model.ae.decoder.ref_conv_in

    def _decoder_modules(self) -> Sequence[nn.Module]:
        return (self.model.ae.decoder,)

    def check_samples(self, samples: SampleOptions) -> None:
        if samples.frames % 4 != 1:
            raise OptionError(
                f"{self.backbone} decodes clips of 4k + 1 frames, not {samples.frames}."
            )
        super().check_samples(samples)

    def latent_frames(self, frames: int) -> int:
        return (frames - 1) // 4 + 1

    @torch.no_grad()
    def reverse_latents(self, latents: Tensor) -> Tensor:
        clip, _ = self.model.decode(latents, attention=False)
        return self._encode(clip.flip(2))
