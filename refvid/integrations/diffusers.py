"""A VAE for diffusers' Wan pipelines that decodes with a reference image.

    from refvid import RefDecoderVAE

    pipe = WanImageToVideoPipeline.from_pretrained(..., vae=RefDecoderVAE.from_checkpoint("wan2.1"))
    with pipe.vae.using_reference(image):
        video = pipe(image=image, prompt="...").frames

It has the methods, attributes and configuration of `AutoencoderKLWan` that pipelines use, and
encodes as that does. Without a reference it decodes without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import (
    AutoencoderMixin,
    DecoderOutput,
    DiagonalGaussianDistribution,
)
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.accelerate_utils import apply_forward_hook
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from refvid.checkpoints.load import load_backbone
from refvid.errors import InputError
from refvid.latents.wan import MEAN, STD
from refvid.media.fit import fit_image
from refvid.media.srgb import read_srgb
from refvid.models.registry import WAN
from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig
from refvid.models.wan.limits import LIMITS
from refvid.rebuild.pixels import frames_to_clip
from refvid.wording import counted

Picture = str | Path | Image.Image | NDArray[Any] | Tensor
"""A file; a PIL image; (H, W, 3) uint8, uint16, or float in [0, 1]; (3, H, W) float in [-1, 1]."""


# diffusers is not typed: its classes are Any here.
class RefDecoderVAE(ModelMixin, AutoencoderMixin, ConfigMixin):  # type: ignore[misc]
    """Wan 2.1's VAE with RefDecoder's reference attention.

    Attributes:
        reference: What the next decodes are conditioned on; None decodes without. One picture, or
            one for each item of the batch.
        use_attention: False decodes with the plain Wan decoder, for comparison.
    """

    _supports_gradient_checkpointing = False

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        base_dim: int = 96,
        z_dim: int = 16,
        dim_mult: Sequence[int] = (1, 2, 4, 4),
        num_res_blocks: int = 2,
        temperal_downsample: Sequence[bool] = (False, True, True),
        latents_mean: Sequence[float] = MEAN,
        latents_std: Sequence[float] = STD,
        scale_factor_temporal: int = 4,  # noqa: ARG002 - pipelines read it in the configuration
        scale_factor_spatial: int = 8,
        transformer_blocks: int = 10,
        heads: int = 12,
        head_channels: int = 128,
        feed_forward_channels: int = 8960,
    ) -> None:
        super().__init__()
        network = WanAutoencoder(
            WanConfig(
                base_channels=base_dim,
                latent_channels=z_dim,
                channel_multipliers=tuple(dim_mult),
                residual_blocks=num_res_blocks,
                temporal_downsampling=tuple(temperal_downsample),
                latents_mean=tuple(latents_mean),
                latents_std=tuple(latents_std),
                transformer_blocks=transformer_blocks,
                heads=heads,
                head_channels=head_channels,
                feed_forward_channels=feed_forward_channels,
            )
        )
        # These names are the published checkpoints': `diffusion_pytorch_model.safetensors` has
        # their keys.
        self.ae = network.ae
        self.transformer = network.transformer
        # In a tuple, so that its parameters do not appear twice.
        self._network = (network,)
        self.z_dim = z_dim
        # Pipelines read the misspelt name.
        self.temperal_downsample = list(temperal_downsample)
        self.spatial_compression_ratio = scale_factor_spatial
        self.use_tiling = False
        self.use_slicing = False
        self.use_attention = True
        self.tile_side = 512
        self._reference: list[NDArray[Any]] | None = None

    @classmethod
    def from_checkpoint(
        cls, checkpoint: str | Path = WAN, *, torch_dtype: torch.dtype = torch.float32
    ) -> Self:
        """Load weights as `refvid --model` does: a name (fetched if need be) or a file.

        Raises:
            CheckpointError: They are not to be had, or not Wan's.
            InputError: They are for another model.
        """
        backbone = load_backbone(checkpoint, torch.device("cpu"), torch_dtype)
        if backbone.name != WAN:
            raise InputError(f"{checkpoint} is for the model {backbone.name}, not for Wan 2.1.")
        return cast("Self", cls.from_network(cast("WanBackbone", backbone).model).to(torch_dtype))

    @classmethod
    def from_network(cls, network: WanAutoencoder) -> Self:
        """Wrap a network; the weights are shared."""
        config = network.config
        with torch.device("meta"):
            vae = cls(
                base_dim=config.base_channels,
                z_dim=config.latent_channels,
                dim_mult=list(config.channel_multipliers),
                num_res_blocks=config.residual_blocks,
                temperal_downsample=list(config.temporal_downsampling),
                latents_mean=list(config.latents_mean),
                latents_std=list(config.latents_std),
                scale_factor_temporal=1 << sum(config.temporal_downsampling),
                scale_factor_spatial=config.spatial_stride,
                transformer_blocks=config.transformer_blocks,
                heads=config.heads,
                head_channels=config.head_channels,
                feed_forward_channels=config.feed_forward_channels,
            )
        vae.ae, vae.transformer, vae._network = network.ae, network.transformer, (network,)
        return cast("Self", vae.eval())

    @property
    def reference(self) -> list[NDArray[Any]] | None:
        """The pictures that are set, (H, W, 3) each."""
        return self._reference

    @reference.setter
    def reference(self, picture: Picture | Sequence[Picture] | None) -> None:
        if picture is None:
            self._reference = None
        elif isinstance(picture, Sequence) and not isinstance(picture, str):
            if not picture:
                raise ValueError("an empty list of references; None decodes without one")
            self._reference = [_to_pixels(one) for one in picture]
        else:
            self._reference = [_to_pixels(picture)]

    @contextmanager
    def using_reference(self, picture: Picture | Sequence[Picture] | None) -> Iterator[Self]:
        """Set the reference for the duration of a `with` block."""
        before = self._reference
        self.reference = picture
        try:
            yield self
        finally:
            self._reference = before

    def enable_tiling(
        self,
        tile_sample_min_height: int | None = None,
        tile_sample_min_width: int | None = None,
        tile_sample_stride_height: float | None = None,  # noqa: ARG002 - as in diffusers
        tile_sample_stride_width: float | None = None,  # noqa: ARG002
    ) -> None:
        """Decode in windows of about so many pixels a side; how they overlap is settled here."""
        self.use_tiling = True
        self.tile_side = max(tile_sample_min_height or 0, tile_sample_min_width or 0) or (
            self.tile_side
        )

    @apply_forward_hook  # type: ignore[untyped-decorator]
    def encode(
        self, x: Tensor, return_dict: bool = True
    ) -> AutoencoderKLOutput | tuple[DiagonalGaussianDistribution]:
        """Encode a clip (B, 3, T, H, W) in [-1, 1]; frames beyond 4k + 1 are left out."""
        stride = LIMITS.temporal_stride
        whole = 1 + (x.shape[2] - 1) // stride * stride
        (network,) = self._network
        posterior, _ = network.encode(x[:, :, :whole].to(self.dtype))
        distribution = DiagonalGaussianDistribution(torch.cat(tuple(posterior), 1))
        return AutoencoderKLOutput(latent_dist=distribution) if return_dict else (distribution,)

    @apply_forward_hook  # type: ignore[untyped-decorator]
    def decode(self, z: Tensor, return_dict: bool = True) -> DecoderOutput | tuple[Tensor]:
        """Decode raw latents (B, 16, t, h, w) with the reference, if there is one.

        Returns:
            (B, 3, T, H, W) float32 in [-1, 1], whatever the precision of the network.
        """
        if self.use_slicing and len(z) > 1:
            clip = torch.cat([self._decode(one[None], item, len(z)) for item, one in enumerate(z)])
        else:
            clip = self._decode(z, None, len(z))
        return DecoderOutput(sample=clip) if return_dict else (clip,)

    def forward(
        self,
        sample: Tensor,
        sample_posterior: bool = False,
        return_dict: bool = True,
        generator: torch.Generator | None = None,
    ) -> DecoderOutput | tuple[Tensor]:
        """Encode and decode."""
        posterior = self.encode(sample).latent_dist
        z = posterior.sample(generator=generator) if sample_posterior else posterior.mode()
        return cast("DecoderOutput | tuple[Tensor]", self.decode(z, return_dict=return_dict))

    def _decode(self, z: Tensor, item: int | None, items: int) -> Tensor:
        """Decode in chunks: 5 latents, then 4, what the attention was trained to see."""
        (network,) = self._network
        z = z.to(self.dtype)
        reference = self._embed_reference(z, item, items) if self.use_attention else None
        following = max(1, LIMITS.default_chunk // LIMITS.temporal_stride)
        clips, state, start = [], None, 0
        while start < z.shape[2]:
            stop = start + following + (start == 0)
            clip, state = network.decode(
                z[:, :, start:stop],
                reference,
                state,
                attention=self.use_attention,
                tile=self.tile_side if self.use_tiling else None,
            )
            clips.append(clip)
            start = stop
        return clips[0] if len(clips) == 1 else torch.cat(clips, 2)

    def _embed_reference(self, z: Tensor, item: int | None, items: int) -> Tensor | None:
        pictures = self._reference
        if pictures is None:
            return None
        if items % len(pictures):
            raise ValueError(
                f"there are {len(pictures)} references for {counted(items, 'video')}: "
                "give one, or one each"
            )
        # Pipelines repeat each prompt's videos one after the other.
        order = [index * len(pictures) // items for index in range(items)]
        if item is not None:
            order = order[item : item + 1]
        scale = self.spatial_compression_ratio
        height, width = z.shape[3] * scale, z.shape[4] * scale
        fitted = [fit_image(picture, width, height, "cover") for picture in pictures]
        embedded = [
            self._network[0].embed_reference(frames_to_clip([one], z.device)[:, :, 0].to(z.dtype))
            for one in fitted
        ]
        return torch.cat([embedded[index] for index in order])


def _to_pixels(picture: Picture) -> NDArray[Any]:
    """Give (H, W, 3) uint8 or uint16."""
    if isinstance(picture, str | Path):
        return read_srgb(Path(picture), may_shrink=True)
    if isinstance(picture, Image.Image):
        return np.array(picture.convert("RGB"))
    if isinstance(picture, Tensor):
        if picture.ndim == 4 and picture.shape[0] == 1:
            picture = picture[0]
        if picture.ndim != 3 or picture.shape[0] != 3 or not picture.is_floating_point():
            raise ValueError(f"a reference is (3, H, W) in [-1, 1], not {tuple(picture.shape)}")
        pixels = picture.detach().float().cpu().permute(1, 2, 0).numpy()
        return _to_depth(pixels / 2 + 0.5)
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a reference is (H, W, 3), not {picture.shape}")
    if picture.dtype in (np.uint8, np.uint16):
        return picture
    if not np.issubdtype(picture.dtype, np.floating):
        raise ValueError(f"a reference is uint8, uint16 or float, not {picture.dtype}")
    return _to_depth(picture)


def _to_depth(pixels: NDArray[Any]) -> NDArray[Any]:
    if not np.isfinite(pixels).all():
        raise ValueError("the reference has values that are no numbers")
    return cast("NDArray[Any]", np.rint(np.clip(pixels, 0, 1) * 65535).astype(np.uint16))
