"""The frozen encoder: clip -> posterior, a few frames at a time.

It has the decoder's parts instead of diffusers' encoder: the same numbers in five sixths of the
time, less memory (whole chunks without padding copies), and the state in plain sight.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from refvid.models.wan.blocks import (
    CausalConv3d,
    ChannelNorm,
    Downsample,
    MiddleBlock,
    Past,
    ResidualBlock,
)
from refvid.models.wan.config import WanConfig


class WanEncoder(nn.Module):
    """Clip (B, T, H, W, 3) -> mean and log variance of the posterior, before `quant_conv`.

    Attribute names are the checkpoint's.
    """

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        levels = config.level_channels
        self.conv_in = CausalConv3d(3, levels[0])
        self.down_blocks = nn.ModuleList()
        inputs = levels[0]
        for level, outputs in enumerate(levels):
            for _ in range(config.residual_blocks):
                self.down_blocks.append(ResidualBlock(inputs, outputs))
                inputs = outputs
            if level < len(levels) - 1:
                in_time = config.temporal_downsampling[level]
                self.down_blocks.append(Downsample(outputs, in_time=in_time))
        self.mid_block = MiddleBlock(inputs)
        self.norm_out = ChannelNorm(inputs)
        self.conv_out = CausalConv3d(inputs, 2 * config.latent_channels)
        self.full_size_blocks = config.residual_blocks + 1

    def forward(self, clip: Tensor, past: Past, frames_per_step: int) -> Tensor:
        """Encode frames that make whole latent frames.

        Args:
            clip: (B, T, H, W, 3) in [-1, 1].
            past: Empty at the start of a shot; changed for the next frames.
            frames_per_step: The full-size layers work on so many frames at once.

        Returns:
            (B, t, H / 8, W / 8, 2 * latent channels).
        """
        parts = []
        for part in torch.split(clip, frames_per_step, 1):
            x = self.conv_in(part, past)
            for block in self.down_blocks[: self.full_size_blocks]:
                x = block(x, past)
            parts.append(x)
        x = torch.cat(parts, 1)
        del parts
        for block in self.down_blocks[self.full_size_blocks :]:
            x = block(x, past)
        encoded: Tensor = self.conv_out(self.mid_block(x, past), past, self.norm_out)
        return encoded
