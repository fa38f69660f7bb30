"""Parts of the Wan 2.1 autoencoder: causal convolution, norm, residual, attention, resampling.

Features are (B, T, H, W, C), channels last: frames are contiguous, so cutting and joining in time
copies whole blocks, linear layers and norms work on the last axis, and convolutions get the
layout they are fastest in.

A causal convolution sees its own frame and the two before it. What the next frames of a shot need
of these, the "past", is an argument of every forward: each convolution takes its last input frames
out of it and puts the new ones in. At the start of a shot it is empty, and the frames before are
zeros. Modules remember nothing. Weights may be stored in another precision than the features have.

The computation is that of diffusers' AutoencoderKLWan, whole chunks at a time instead of one
latent frame: https://github.com/huggingface/diffusers, autoencoder_kl_wan.py. Attribute names are
the checkpoint's.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.models.convolution import (
    convolve_frames,
    convolve_times,
    enlarge_frames,
    layer_weights,
    linear,
)
from refvid.models.wan.past import Past

PAST_FRAMES = 2
"""Frames that a causal convolution looks back."""


class ChannelNorm(nn.Module):
    """Wan's RMS norm: x / |x| * sqrt(C) * gamma over the channels.

    Args:
        channels: C.
        trailing: Axes of length 1 after the channels in the checkpoint's gamma.
    """

    def __init__(self, channels: int, trailing: int = 3) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, *[1] * trailing))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> the same shape."""
        if torch.is_grad_enabled():
            # Writing into given memory, as below, leaves no trace for gradients.
            normed = functional.normalize(x.float(), dim=-1) * math.sqrt(x.shape[-1])
            return normed.to(x.dtype) * self.gamma.flatten().to(x.dtype)
        return self._normalise(x, torch.empty_like(x))

    def silu_into(self, x: Tensor, out: Tensor) -> None:
        """Write SiLU(norm(x)) to `out`, without another tensor of that size where possible."""
        if x.is_cuda:
            self._silu_in_two_kernels(x, out)
        else:
            functional.silu(self._normalise(x, out), inplace=True)

    def _silu_in_two_kernels(self, x: Tensor, out: Tensor) -> None:
        """The same for a card: the smallest epsilon there is stands for the clamp at 1e-12."""
        gamma = self.gamma.flatten().to(x.dtype)
        normed = functional.rms_norm(x, gamma.shape, gamma, _TINY)
        torch.ops.aten.silu.out(normed, out=out)

    def _normalise(self, x: Tensor, out: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = math.sqrt(x.shape[-1]) / length.clamp_min_(1e-12)
        torch.mul(x, scale.to(x.dtype), out=out)
        return out.mul_(self.gamma.flatten().to(x.dtype))


_TINY = 1e-30

_STACKED_CHANNELS = range(64, 129)
"""Where that is faster on an H100: 96 channels are, 192 are not."""


class CausalConv3d(nn.Conv3d):
    """A 3x3x3 convolution over frames t-2, t-1 and t."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=(0, 1, 1))

    def forward(  # type: ignore[override]  # the past goes along
        self, x: Tensor, past: Past, norm: ChannelNorm | None = None
    ) -> Tensor:
        """Convolve consecutive frames.

        Args:
            x: (B, T, H, W, C).
            past: Changed for the next frames.
            norm: With it, SiLU(norm(x)) is convolved: written straight to where the convolution
                reads it.

        Returns:
            (B, T, H, W, outputs).
        """
        batch, frames, *rest = x.shape
        if not torch.is_grad_enabled() and x.is_cuda and rest[-1] in _STACKED_CHANNELS:
            return self._convolve_stacked(x, past, norm)
        before = past.pop(self, None)
        starts = before is None
        extended = x.new_empty(batch, PAST_FRAMES + frames, *rest)
        extended[:, :PAST_FRAMES] = 0 if before is None else before
        del before
        if norm is None:
            extended[:, PAST_FRAMES:] = x
        elif torch.is_grad_enabled():
            extended[:, PAST_FRAMES:] = functional.silu(norm(x))
        else:
            norm.silu_into(x, extended[:, PAST_FRAMES:])
        past[self] = extended[:, -PAST_FRAMES:].clone()
        weight, bias = layer_weights(self, x)
        if starts and frames == 1:
            # Zeros before it: only the last slice of the kernel counts.
            return convolve_frames(extended[:, PAST_FRAMES:], weight[:, :, -1], bias, padding=1)
        result = functional.conv3d(extended.permute(0, 4, 1, 2, 3), weight, bias, padding=(0, 1, 1))
        return result.permute(0, 2, 3, 4, 1).contiguous()

    def _convolve_stacked(self, x: Tensor, past: Past, norm: ChannelNorm | None) -> Tensor:
        """The same as a convolution of images that have the frames before as further channels.

        With few channels, cuDNN's kernels for images are faster than those for videos by a quarter
        (benchmarks/README.md).
        """
        channels = x.shape[-1]
        stacked = x.new_empty(*x.shape[:-1], (1 + PAST_FRAMES) * channels)
        now, *earlier = torch.split(stacked, channels, -1)
        if norm is None:
            now.copy_(x)
        else:
            norm.silu_into(x, now)
        before = past.pop(self, None)
        if before is None:
            before = x.new_zeros(1, 1, 1, 1, 1).expand(-1, PAST_FRAMES, -1, -1, -1)
        for distance, place in enumerate(earlier, 1):
            place[:, :distance] = before[:, PAST_FRAMES - distance :][:, : x.shape[1]]
            place[:, distance:] = now[:, :-distance]
        if x.shape[1] >= PAST_FRAMES:
            past[self] = now[:, -PAST_FRAMES:].contiguous()
        else:
            before = before.expand(len(x), -1, *x.shape[2:])
            past[self] = torch.cat((before[:, x.shape[1] :], now), 1)
        weight, bias = layer_weights(self, x)
        in_turn = weight.flip(2).transpose(1, 2).flatten(1, 2)  # as the frames are stacked
        in_turn = in_turn.contiguous(memory_format=torch.channels_last)
        return convolve_frames(stacked, in_turn, bias, padding=1)


class PointwiseConv3d(nn.Conv3d):
    """A 1x1x1 convolution, which is a linear layer on channels-last features."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return linear(self, x)


class ResidualBlock(nn.Module):
    """Norm, SiLU and convolution, twice, around a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(inputs)
        self.conv1 = CausalConv3d(inputs, outputs)
        self.norm2 = ChannelNorm(outputs)
        self.conv2 = CausalConv3d(outputs, outputs)
        self.conv_shortcut = (
            nn.Identity() if inputs == outputs else PointwiseConv3d(inputs, outputs)
        )

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """(B, T, H, W, C) -> (B, T, H, W, outputs)."""
        hidden: Tensor = self.conv2(self.conv1(x, past, self.norm1), past, self.norm2)
        hidden += self.conv_shortcut(x)
        return hidden


class FrameAttention(nn.Module):
    """Self-attention with one head within each frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels, trailing=2)
        self.to_qkv = nn.Conv2d(channels, channels * 3, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> the same shape."""
        batch, frames, height, width, channels = x.shape
        normed = self.norm(x).view(batch * frames, 1, height * width, channels)
        query, key, value = linear(self.to_qkv, normed).chunk(3, -1)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return linear(self.proj, attended).view_as(x).add_(x)


class MiddleBlock(nn.Module):
    """Residual block, attention, residual block at the latents' resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(ResidualBlock(channels, channels) for _ in range(2))
        self.attentions = nn.ModuleList([FrameAttention(channels)])

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """(B, T, H, W, C) -> the same shape."""
        x = self.attentions[0](self.resnets[0](x, past))
        refined: Tensor = self.resnets[1](x, past)
        return refined


class Downsample(nn.Module):
    """Half the size, and half the frame rate if asked to."""

    def __init__(self, channels: int, *, in_time: bool) -> None:
        super().__init__()
        self.resample = _second_of_two(nn.Conv2d(channels, channels, 3, stride=2))
        self.time_conv = nn.Conv3d(channels, channels, (3, 1, 1)) if in_time else None

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """Sample down consecutive frames.

        Args:
            x: (B, T, H, W, C). In time, 2n + 1 frames at the start of a shot, then 2n.
            past: Changed for the next frames.

        Returns:
            (B, T / 2 rounded up or T, H / 2, W / 2, C).
        """
        # One row and column of zeros at the far sides only.
        padded = functional.pad(x, (0, 0, 0, 1, 0, 1))
        del x
        x = convolve_frames(padded, *layer_weights(self.resample[1], padded), stride=2)
        if self.time_conv is None:
            return x
        before = past.pop(self, None)
        past[self] = x[:, -1:].clone()
        weights = layer_weights(self.time_conv, x)
        if before is not None:
            return convolve_times(torch.cat((before, x), 1), *weights, stride=2)
        # The first frame of a shot stays as it is and is what the others look back on.
        rest = [convolve_times(x, *weights, stride=2)] if x.shape[1] > 1 else []
        return torch.cat((x[:, :1], *rest), 1)


class Upsample(nn.Module):
    """Twice the size, and twice the frame rate if asked to."""

    def __init__(self, inputs: int, outputs: int, *, in_time: bool) -> None:
        super().__init__()
        self.resample = _second_of_two(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.time_conv = nn.Conv3d(inputs, 2 * inputs, (3, 1, 1)) if in_time else None

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """Sample up consecutive frames.

        Args:
            x: (B, T, H, W, C).
            past: Changed for the next frames.

        Returns:
            (B, 2T or T, 2H, 2W, outputs); in time, one frame less at the start of a shot.
        """
        if self.time_conv is not None:
            x = self._double_rate(x, past, *layer_weights(self.time_conv, x))
        return self.enlarge(x)

    def _double_rate(self, x: Tensor, past: Past, weight: Tensor, bias: Tensor | None) -> Tensor:
        parts = []
        before = past.pop(self, None)
        if before is None:
            # The first frame of a shot stays one frame; the others do not see it.
            first, x = x[:, :1], x[:, 1:]
            before = torch.zeros_like(first).expand(-1, PAST_FRAMES, -1, -1, -1)
            parts = [first]
        extended = torch.cat((before, x), 1)
        past[self] = extended[:, -PAST_FRAMES:].clone()
        if x.shape[1]:
            doubled = convolve_times(extended, weight, bias)  # (B, T, H, W, 2 * C)
            parts.append(torch.stack(doubled.chunk(2, -1), 2).flatten(1, 2))
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def enlarge(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> (B, T, 2H, 2W, outputs): nearest neighbour and a 3x3 convolution."""
        return enlarge_frames(x, *layer_weights(self.resample[1], x))


def _second_of_two(layer: nn.Module) -> nn.ModuleList:
    """Give a layer the place it has in checkpoints, after one without weights."""
    return nn.ModuleList([nn.Identity(), layer])
