"""The temporal codec: the spatial encoder's latents at the full frame rate <-> a quarter of it.

Plain 3-D convolutions at the latents' small resolution, whole clips at a time. Borders repeat,
in time as in space. Features are (B, T, H, W, C). Attribute names are the checkpoint's.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from refvid.models.convolution import layer_weights
from refvid.models.videovaeplus.blocks import GroupNorm, add_to
from refvid.models.videovaeplus.config import VideoVaePlusConfig


class BorderConv3d(nn.Module):
    """A 3x3x3 convolution whose input repeats at its borders.

    Args:
        inputs: Channels.
        outputs: Channels.
        time_stride: 2 halves the frame rate; then time repeats at the front only.
    """

    def __init__(self, inputs: int, outputs: int, time_stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, stride=(time_stride, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> (B, T or T / 2, H, W, outputs)."""
        weight, bias = layer_weights(self.conv, x)
        after = 2 - self.conv.stride[0]
        padded = functional.pad(x.permute(0, 4, 1, 2, 3), (1, 1, 1, 1, 1, after), mode="replicate")
        result = functional.conv3d(padded, weight, bias, self.conv.stride)
        return result.permute(0, 2, 3, 4, 1).contiguous()


class TemporalResidual(nn.Module):
    """Norm, SiLU and convolution, twice, around a shortcut."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups, channels)
        self.conv1 = BorderConv3d(channels, channels)
        self.norm2 = GroupNorm(groups, channels)
        self.conv2 = BorderConv3d(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C), which is overwritten where no gradient is needed."""
        hidden = self.conv1(self.norm1(x, silu=True))
        return add_to(x, self.conv2(self.norm2(hidden, silu=True)))


class HalveRate(nn.Module):
    """Half the frame rate."""

    def __init__(self, groups: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = BorderConv3d(inputs, outputs, time_stride=2)
        self.res = TemporalResidual(groups, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> (B, T / 2, H, W, outputs)."""
        halved: Tensor = self.res(self.down(x))
        return halved


class DoubleRate(nn.Module):
    """Twice the frame rate."""

    def __init__(self, groups: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose3d(
            inputs, outputs, 3, stride=(2, 1, 1), padding=1, output_padding=(1, 0, 0)
        )
        self.res1 = TemporalResidual(groups, outputs)
        self.res2 = TemporalResidual(groups, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> (B, 2T, H, W, outputs)."""
        weight, bias = layer_weights(self.up, x)
        doubled = functional.conv_transpose3d(
            x.permute(0, 4, 1, 2, 3), weight, bias, (2, 1, 1), 1, (1, 0, 0)
        )
        refined: Tensor = self.res2(self.res1(doubled.permute(0, 2, 3, 4, 1).contiguous()))
        return refined


class TemporalEncoder(nn.Module):
    """Latents at the full frame rate -> mean and log variance at a quarter of it."""

    def __init__(self, config: VideoVaePlusConfig) -> None:
        super().__init__()
        channels, groups = config.temporal_channels, config.norm_groups
        self.conv_in = BorderConv3d(config.latent_channels, channels)
        self.mid_blocks = nn.ModuleList()
        for _ in range(config.temporal_halvings):
            self.mid_blocks.append(HalveRate(groups, channels, 2 * channels))
            channels *= 2
        # The second is an activation's place.
        self.final_block = nn.ModuleList(
            [
                GroupNorm(groups, channels),
                nn.Identity(),
                BorderConv3d(channels, 2 * config.latent_channels),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 4t, h, w, latent channels) -> (B, t, h, w, 2 * latent channels)."""
        x = self.conv_in(x)
        for block in self.mid_blocks:
            x = block(x)
        norm, _, convolution = self.final_block
        moments: Tensor = convolution(norm(x, silu=True))
        return moments


class TemporalDecoder(nn.Module):
    """Latents at a quarter of the frame rate -> latents for the spatial decoder."""

    def __init__(self, config: VideoVaePlusConfig) -> None:
        super().__init__()
        groups = config.norm_groups
        channels = config.temporal_channels << config.temporal_halvings
        self.conv_in = BorderConv3d(config.latent_channels, channels)
        self.mid_blocks = nn.ModuleList()
        for index in range(config.temporal_halvings):
            outputs = channels if index == 0 else channels // 2
            self.mid_blocks.append(DoubleRate(groups, channels, outputs))
            channels = outputs
        self.conv_last = BorderConv3d(channels, config.latent_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, t, h, w, C) -> (B, 4t, h, w, C)."""
        x = self.conv_in(x)
        for block in self.mid_blocks:
            x = block(x)
        decoded: Tensor = self.conv_last(x)
        return decoded
