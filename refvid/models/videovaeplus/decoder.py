"""The spatial decoder: latents at the full frame rate -> clip, with the reference attention.

RefDecoder (arXiv:2605.15196, section 3) on the decoder of VideoVAE+. Differences from the Wan
backbone: the attention comes after its resolution's layers, reference and video have a norm of
their own before it, and its result is added to the video instead of replacing it.
"""

from __future__ import annotations

from torch import Tensor, nn

from refvid.models.reference_attention import ReferenceAttention
from refvid.models.videovaeplus.blocks import (
    FrameConv,
    GroupNorm,
    MiddleBlock,
    ResidualBlock,
    Upsample,
    add_to,
)
from refvid.models.videovaeplus.config import VideoVaePlusConfig


class Level(nn.Module):
    """One resolution: residual blocks, then twice the size. Attribute names: the checkpoint's."""

    def __init__(
        self, groups: int, inputs: int, outputs: int, blocks: int, *, enlarge: bool
    ) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            ResidualBlock(groups, inputs if i == 0 else outputs, outputs) for i in range(blocks)
        )
        self.upsample = Upsample(outputs) if enlarge else None

    def layers(self) -> list[nn.Module]:
        """(B, T, H, W, C) -> (B, T, 2H, 2W, outputs), or of the same size at the full one.

        For a loop of the caller's: one in here would keep the input in memory to its end.
        """
        return [*self.block, *([] if self.upsample is None else [self.upsample])]


class VideoVaePlusDecoder(nn.Module):
    """Spatial decoder with the norms around the reference attention.

    Attribute names are the checkpoint's.
    """

    def __init__(self, config: VideoVaePlusConfig) -> None:
        super().__init__()
        levels, groups = config.level_channels, config.norm_groups
        self.conv_in = FrameConv(config.latent_channels, levels[-1])
        self.mid = MiddleBlock(groups, levels[-1])
        inputs = (*levels[1:], levels[-1])
        self.up = nn.ModuleList(
            Level(groups, inputs[level], outputs, config.residual_blocks + 1, enlarge=level > 0)
            for level, outputs in enumerate(levels)
        )
        self.norm_out = GroupNorm(groups, levels[0])
        self.conv_out = FrameConv(levels[0], 3)
        self.pre_transformer_norms = nn.ModuleList(
            GroupNorm(groups, channels) for channels, _ in config.stages
        )
        self.pre_transformer_norms_ref = nn.ModuleList(
            GroupNorm(groups, channels) for channels, _ in config.stages
        )

    def head(self, latents: Tensor) -> Tensor:
        """Latents (B, T, h, w, C) from the temporal decoder -> features of the lowest level."""
        features: Tensor = self.mid(self.conv_in(latents))
        return features

    def body(
        self, x: Tensor, reference: Tensor | None, attention: ReferenceAttention | None
    ) -> Tensor:
        """All resolutions, for one window.

        Args:
            x: (B, T, h, w, C) from `head`.
            reference: (B, 1, 4h, 4w, C) from the reference's tokens, or None.
            attention: None skips the attention: the plain VideoVAE+ decoder.

        Returns:
            (B, T, H, W, 3), about [-1, 1].
        """
        stages = len(self.pre_transformer_norms)
        for index in range(len(self.up) - 1, -1, -1):
            level = self.up[index]
            assert isinstance(level, Level)
            for layer in level.layers():
                x = layer(x)
            stage = stages - 1 - index
            if attention is None or stage < 0:
                continue
            if reference is not None and stage > 0:
                for layer in level.layers():  # the same ones, on a clip of one frame
                    reference = layer(reference)
            reference, x = self._attend(attention, stage, reference, x)
        pixels: Tensor = self.conv_out(x, self.norm_out)
        return pixels

    def _attend(
        self, attention: ReferenceAttention, stage: int, reference: Tensor | None, video: Tensor
    ) -> tuple[Tensor | None, Tensor]:
        """Give the attention's result: instead of the reference, and added to the video."""
        if reference is not None:
            reference = self.pre_transformer_norms_ref[stage](reference)
        grid = attention.grid(stage, reference, video)
        size, has_reference = (video.shape[2], video.shape[3]), reference is not None
        tokens = attention.embed(stage, reference, self.pre_transformer_norms[stage](video))
        del reference
        tokens = attention.attend(tokens, grid)
        reference, added = attention.project(stage, tokens, grid, size, has_reference=has_reference)
        return reference, add_to(video, added)
