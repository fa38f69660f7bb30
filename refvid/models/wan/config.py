"""Sizes of the Wan 2.1 backbone; the defaults are the published checkpoint's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WanConfig:
    """One network. A latent position covers 8x8 pixels, a token of the attention 16x16."""

    base_channels: int = 96
    """Channels at the frame's full size."""

    channel_multipliers: tuple[int, ...] = (1, 2, 4, 4)
    """Channels at 1/1, 1/2, 1/4 and 1/8 of the frame's size, in units of `base_channels`."""

    residual_blocks: int = 2
    """Residual blocks per resolution of the encoder; the decoder has one more."""

    temporal_downsampling: tuple[bool, ...] = (False, True, True)
    """Whether the encoder also halves the frame rate where it halves the frame's size."""

    latent_channels: int = 16

    transformer_blocks: int = 10
    """Blocks of the reference attention, shared by the three decoder stages."""

    heads: int = 12

    head_channels: int = 128

    feed_forward_channels: int = 8960

    latents_mean: tuple[float, ...] = (
        -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
        0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
    )  # fmt: skip
    """Pipelines store (latents - mean) / std, per channel; the decoder takes raw latents."""

    latents_std: tuple[float, ...] = (
        2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
        3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
    )  # fmt: skip

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels at 1/1, 1/2, 1/4 and 1/8 of the frame's size."""
        return tuple(self.base_channels * multiplier for multiplier in self.channel_multipliers)

    @property
    def up_channels(self) -> tuple[tuple[int, int], ...]:
        """Channels in and out of each up-block's residual part, from 1/8 to the full size."""
        deep_first = self.level_channels[::-1]
        inputs = (deep_first[0], *(channels // 2 for channels in deep_first[:-1]))
        return tuple(zip(inputs, deep_first, strict=True))

    @property
    def temporal_upsampling(self) -> tuple[bool, ...]:
        """Whether each up-block but the last doubles the frame rate."""
        return self.temporal_downsampling[::-1]

    @property
    def stages(self) -> tuple[tuple[int, int], ...]:
        """Channels and patch side of each decoder stage with reference attention."""
        up = self.up_channels
        return tuple((up[i][0], 2 << i) for i in range(len(up) - 1))

    @property
    def spatial_stride(self) -> int:
        """Pixels per latent position."""
        return 1 << (len(self.channel_multipliers) - 1)
