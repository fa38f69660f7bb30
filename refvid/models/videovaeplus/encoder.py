"""The spatial encoder: clip -> latents at the full frame rate."""

from __future__ import annotations

from torch import Tensor, nn

from refvid.models.videovaeplus.blocks import (
    Downsample,
    FrameConv,
    GroupNorm,
    MiddleBlock,
    ResidualBlock,
)
from refvid.models.videovaeplus.config import VideoVaePlusConfig


class _Level(nn.Module):
    """One resolution: residual blocks, then half the size. Attribute names are the checkpoint's."""

    def __init__(self, groups: int, inputs: int, outputs: int, blocks: int, *, halve: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            ResidualBlock(groups, inputs if i == 0 else outputs, outputs) for i in range(blocks)
        )
        self.downsample = Downsample(outputs) if halve else None

    def layers(self) -> list[nn.Module]:
        """For a loop of the caller's: one in here would keep its input in memory to its end."""
        return [*self.block, *([] if self.downsample is None else [self.downsample])]


class VideoVaePlusEncoder(nn.Module):
    """Clip (B, T, H, W, 3) -> mean and log variance per frame, before the temporal encoder.

    Attribute names are the checkpoint's.
    """

    def __init__(self, config: VideoVaePlusConfig) -> None:
        super().__init__()
        levels, groups = config.level_channels, config.norm_groups
        self.conv_in = FrameConv(3, levels[0])
        inputs = (levels[0], *levels[:-1])
        self.down = nn.ModuleList(
            _Level(
                groups,
                inputs[level],
                outputs,
                config.residual_blocks,
                halve=level < len(levels) - 1,
            )
            for level, outputs in enumerate(levels)
        )
        self.mid = MiddleBlock(groups, levels[-1])
        self.norm_out = GroupNorm(groups, levels[-1])
        self.conv_out = FrameConv(levels[-1], 2 * config.latent_channels)

    def forward(self, clip: Tensor) -> Tensor:
        """Encode a whole chunk.

        Args:
            clip: (B, T, H, W, 3) in [-1, 1]; H and W multiples of 8.

        Returns:
            (B, T, H / 8, W / 8, 2 * latent channels).
        """
        x = self.conv_in(clip)
        for level in self.down:
            assert isinstance(level, _Level)
            for layer in level.layers():
                x = layer(x)
        moments: Tensor = self.conv_out(self.mid(x), self.norm_out)
        return moments
