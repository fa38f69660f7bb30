"""Sizes of the VideoVAE+ backbone; the defaults are the published checkpoints'."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoVaePlusConfig:
    """One network. A latent position covers 4 frames of 8x8 pixels, an attention token 16x16."""

    base_channels: int = 128
    """Channels at the frame's full size."""

    channel_multipliers: tuple[int, ...] = (1, 2, 4, 4)
    """Channels at 1/1, 1/2, 1/4 and 1/8 of the frame's size, in units of `base_channels`."""

    residual_blocks: int = 2
    """Residual blocks per resolution of the encoder; the decoder has one more."""

    temporal_channels: int = 128
    """Channels of the temporal encoder at the full frame rate; they double with each halving."""

    temporal_halvings: int = 2

    norm_groups: int = 32

    latent_channels: int = 16

    reference_patch: int = 2
    """Side of the squares of reference pixels that become channels [pixels]."""

    transformer_blocks: int = 10
    """Blocks of the reference attention, shared by the three decoder stages."""

    heads: int = 12

    head_channels: int = 128

    feed_forward_channels: int = 8960

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels at 1/1, 1/2, 1/4 and 1/8 of the frame's size."""
        return tuple(self.base_channels * multiplier for multiplier in self.channel_multipliers)

    @property
    def stages(self) -> tuple[tuple[int, int], ...]:
        """Channels and patch side of each decoder stage with reference attention.

        They follow the levels 2, 1 and 0, the first two after these have doubled the size.
        """
        quarter, half, full = self.level_channels[2::-1]
        return ((quarter, 8), (half, 16), (full, 16))

    @property
    def spatial_stride(self) -> int:
        """Pixels per latent position."""
        return 1 << (len(self.channel_multipliers) - 1)

    @property
    def temporal_stride(self) -> int:
        """Frames per latent frame."""
        return 1 << self.temporal_halvings
