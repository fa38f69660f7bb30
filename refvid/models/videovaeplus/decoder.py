"""The spatial decoder: latents at the full frame rate -> clip, with the reference attention.

RefDecoder (arXiv:2605.15196, section 3) on the decoder of VideoVAE+. Differences from the Wan
backbone: the attention comes after its resolution's layers, reference and video have a norm of
their own before it, and its result is added to the video instead of replacing it.
"""

from __future__ import annotations

from torch import Tensor, nn

from refvid.models.reference_attention import Features, ReferenceAttention, apart, together
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

    def forward(self, features: Features) -> Features:
        """Both through the same layers; a reference is a clip of one frame.

        (B, T, H, W, C) -> (B, T, 2H, 2W, outputs), or of the same size at the full one.
        """
        reference, video = features.take()
        layers = [*self.block, *([] if self.upsample is None else [self.upsample])]
        for layer in layers:
            video = layer(video)
        if reference is not None:
            reference = apart(reference)
            for layer in layers:
                reference = layer(reference)
            reference = together(reference, video.shape[0])
        return Features(reference, video)


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
            reference: (B, R, 4h, 4w, C) from the tokens of R references, or None.
            attention: None skips the attention: the plain VideoVAE+ decoder.

        Returns:
            (B, T, H, W, 3), about [-1, 1].
        """
        features = Features(None, x)
        del x
        first_level = len(self.pre_transformer_norms) - len(self.up)
        for stage, level in enumerate(reversed(self.up), first_level):
            features = level(features)
            if attention is not None and stage >= 0:
                if stage == 0:  # the reference's tokens have this resolution
                    features.reference, reference = reference, None
                features = self._attend(attention, stage, features)
        pixels: Tensor = self.conv_out(features.take()[1], self.norm_out)
        return pixels

    def _attend(self, attention: ReferenceAttention, stage: int, features: Features) -> Features:
        """Give the attention's result: instead of the reference, and added to the video."""
        reference, video = features.take()
        if reference is not None:
            normed_apart = self.pre_transformer_norms_ref[stage](apart(reference))
            reference = together(normed_apart, video.shape[0])
            del normed_apart
        normed = Features(reference, self.pre_transformer_norms[stage](video))
        del reference
        reference, added = attention(stage, normed).take()
        return Features(reference, add_to(video, added))
