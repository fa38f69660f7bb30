"""The decoder: latents -> clip, with the reference attention at three resolutions.

RefDecoder (arXiv:2605.15196, section 3) on the decoder of the Wan 2.1 video VAE. Three parts that
differ in what they may be cut into:

* the head (first convolution, middle block), whole frames: its attention sees the frame;
* the stages (reference attention, then an up-block), a window of a frame, all frames of a chunk:
  the attention sees the chunk;
* the tail (the two up-blocks of the highest resolutions, output convolution), a few frames at a
  time: only causal convolutions, which the past makes exact however they are cut.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from refvid.models.reference_attention import Features, ReferenceAttention, apart, together
from refvid.models.reference_tokens import ReferenceTokens
from refvid.models.wan.blocks import (
    CausalConv3d,
    ChannelNorm,
    MiddleBlock,
    ResidualBlock,
    Upsample,
)
from refvid.models.wan.config import WanConfig
from refvid.models.wan.past import Past


class UpBlock(nn.Module):
    """Residual blocks, then twice the size."""

    def __init__(
        self, inputs: int, outputs: int, blocks: int, *, enlarge: bool, in_time: bool
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            ResidualBlock(inputs if i == 0 else outputs, outputs) for i in range(blocks)
        )
        # At most one, in a list as in the checkpoint.
        self.upsamplers = nn.ModuleList(
            [Upsample(outputs, outputs // 2, in_time=in_time)] if enlarge else []
        )

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """(B, T, H, W, C) -> (B, 2T or T, 2H, 2W, outputs)."""
        for block in self.resnets:
            x = block(x, past)
        for upsampler in self.upsamplers:
            x = upsampler(x, past)
        return x

    def enlarge(self, features: Features, past: Past) -> Features:
        """Both through the same layers; a reference is a clip of one frame and stays one."""
        reference, video = features.take()
        video = self(video, past)
        if reference is not None:
            reference = apart(reference)
            for block in self.resnets:
                reference = block(reference, {})
            reference = cast("Upsample", self.upsamplers[0]).enlarge(reference)
            reference = together(reference, video.shape[0])
        return Features(reference, video)


class WanDecoder(nn.Module):
    """Decoder with reference tokens. Attribute names are the checkpoint's."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        deepest, full_size = config.level_channels[-1], config.level_channels[0]
        self.conv_in = CausalConv3d(config.latent_channels, deepest)
        self.ref_conv_in = ReferenceTokens(
            config.spatial_stride, deepest, ChannelNorm(deepest, trailing=2)
        )
        self.mid_block = MiddleBlock(deepest)
        in_time = (*config.temporal_upsampling, False)
        self.up_blocks = nn.ModuleList(
            UpBlock(
                inputs,
                outputs,
                config.residual_blocks + 1,
                enlarge=i < len(config.stages),
                in_time=in_time[i],
            )
            for i, (inputs, outputs) in enumerate(config.up_channels)
        )
        self.norm_out = ChannelNorm(full_size)
        self.conv_out = CausalConv3d(full_size, 3)
        self.last_stage = len(config.stages) - 1

    def head(self, latents: Tensor, past: Past) -> Tensor:
        """Latents (B, t, h, w, C) after `post_quant_conv` -> features of the first stage."""
        features: Tensor = self.mid_block(self.conv_in(latents, past), past)
        return features

    def body(
        self,
        x: Tensor,
        reference: Tensor | None,
        attention: ReferenceAttention | None,
        past: Past,
        frames_per_step: int,
    ) -> Tensor:
        """Stages and tail of one window.

        Args:
            x: (B, t, h, w, C) from `head`.
            reference: (B, R, h, w, C), R from `ref_conv_in`, or None.
            attention: None skips the attention: the plain Wan decoder.
            past: Of this window, empty at the start of a shot; changed for the next frames.
            frames_per_step: The tail works on so many frames at once.

        Returns:
            (B, T, H, W, 3) in [-1, 1].
        """
        features = Features(None if attention is None else reference, x)
        del x, reference
        for stage in range(self.last_stage + 1):
            if attention is not None:
                features = attention(stage, features)
            if stage < self.last_stage:
                features = cast("UpBlock", self.up_blocks[stage]).enlarge(features, past)
        return self._tail(features, past, frames_per_step)

    def _tail(self, features: Features, past: Past, frames_per_step: int) -> Tensor:
        """Run the highest resolutions, a few frames at a time; the reference ends here."""
        x = features.take()[1]
        batch, frames, height, width = x.shape[:4]
        pixels = x.new_empty(batch, frames, 2 * height, 2 * width, 3)
        for start in range(0, frames, frames_per_step):
            part = x[:, start : start + frames_per_step]
            for block in self.up_blocks[self.last_stage :]:
                part = block(part, past)
            part = self.conv_out(part, past, self.norm_out)
            if torch.is_grad_enabled():
                pixels[:, start : start + frames_per_step] = part.clamp(-1, 1)
            else:
                torch.clamp(part, -1, 1, out=pixels[:, start : start + frames_per_step])
        return pixels
