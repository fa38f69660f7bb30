"""Parts of VideoVAE+: group norm over whole clips, 2+1D residual blocks, attention, resampling.

Features are (B, T, H, W, C), channels last, as in the Wan backbone. What differs: nothing is
causal, and the group norm's statistics include time, so that every frame of a call depends on
every other one. No layer can be fed a few frames at a time from end to end. Instead each one
measures its input first and then works through it a few frames at a time, in place where it can:
a residual block needs its input, its output and a few frames beside them.

That is for decoding. Where gradients are needed, layers take their input whole and leave it as it
is. Attribute names are the checkpoint's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.models.convolution import convolve_frames, enlarge_frames, layer_weights, linear

NORM_EPSILON = 1e-6

_TIME_NORM_EPSILON = 1e-5

_LONGEST_DISTANCE = 64
"""The temporal attention tells distances up to so many frames apart."""

VALUES_PER_STEP = 32_000_000
"""Layers work on about so many values at once; more is hardly faster."""


class Affine(NamedTuple):
    """A norm's work, once its statistics are known: x * scale + shift; (B, 1, 1, 1, C) float32."""

    scale: Tensor
    shift: Tensor

    def apply(self, x: Tensor, *, silu: bool) -> Tensor:
        """(B, T, H, W, C) -> the same shape and precision; float32 in between."""
        normed = torch.addcmul(self.shift, x.float(), self.scale)
        if silu:
            functional.silu(normed, inplace=True)
        return normed.to(x.dtype)


class GroupNorm(nn.Module):
    """Group norm over groups of channels, all positions and all frames."""

    def __init__(self, groups: int, channels: int, epsilon: float = NORM_EPSILON) -> None:
        super().__init__()
        self.groups, self.epsilon = groups, epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def measure(self, x: Tensor) -> Affine:
        """Statistics of (B, T, H, W, C), a few frames at a time."""
        batch, frames, channels = x.shape[0], x.shape[1], x.shape[-1]
        precise = torch.float32 if x.device.type == "mps" else torch.float64  # Metal has no other
        mean = x.new_zeros(batch, self.groups, dtype=precise)
        square = torch.zeros_like(mean)
        moments_of = row_moments if x.device.type == "cpu" else frame_moments
        for start, stop in steps(x):
            share = (stop - start) / frames
            means, variances = moments_of(x[:, start:stop].float(), self.groups)
            means, variances = means.to(precise), variances.to(precise)
            mean += means.mean(1) * share
            square += (variances + means**2).mean(1) * share
        variance = (square - mean**2).clamp_min_(0.0)
        rate = (variance + self.epsilon).rsqrt()
        size = channels // self.groups
        scale = self.weight.to(precise) * rate.repeat_interleave(size, 1)
        shift = self.bias.to(precise) - mean.repeat_interleave(size, 1) * scale
        shape = (batch, 1, 1, 1, channels)
        return Affine(scale.float().view(shape), shift.float().view(shape))

    def forward(self, x: Tensor, *, silu: bool = False) -> Tensor:
        """Norm, and SiLU if asked to: (B, T, H, W, C) -> the same shape."""
        if torch.is_grad_enabled():
            # Measuring in parts, as below, leaves no trace for gradients.
            channels_first = x.float().movedim(-1, 1)
            whole = functional.group_norm(
                channels_first, self.groups, self.weight.float(), self.bias.float(), self.epsilon
            )
            whole = functional.silu(whole) if silu else whole
            return whole.movedim(1, -1).to(x.dtype).contiguous()
        affine = self.measure(x)
        normed = torch.empty_like(x)
        for start, stop in steps(x):
            normed[:, start:stop] = affine.apply(x[:, start:stop], silu=silu)
        return normed


class FrameConv(nn.Conv3d):
    """A 3x3 convolution of each frame."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, (1, 3, 3), padding=(0, 1, 1))

    def forward(
        self, x: Tensor, norm: GroupNorm | None = None, out: Tensor | None = None
    ) -> Tensor:
        """Convolve, a few frames at a time.

        Args:
            x: (B, T, H, W, C).
            norm: With it, SiLU(norm(x)) is convolved.
            out: Where to, unless gradients are needed; may be `x` itself. None: to a new tensor.

        Returns:
            (B, T, H, W, outputs).
        """
        weight, bias = layer_weights(self, x)
        if torch.is_grad_enabled():
            whole = x if norm is None else norm(x, silu=True)
            return convolve_frames(whole, weight.squeeze(2), bias, padding=1)
        affine = None if norm is None else norm.measure(x)
        if out is None:
            out = x.new_empty(*x.shape[:4], self.out_channels)
        for start, stop in steps(x, self.out_channels):
            part = x[:, start:stop]
            if affine is not None:
                part = affine.apply(part, silu=True)
            out[:, start:stop] = convolve_frames(part, weight.squeeze(2), bias, padding=1)
        return out


class TimeConv(nn.Module):
    """x + a 3x3x3 convolution of SiLU(norm(x)), with zeros before and after the clip."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels)
        self.conv = nn.Conv3d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C), which is overwritten where no gradient is needed."""
        weight, bias = layer_weights(self.conv, x)
        if torch.is_grad_enabled():
            images = self.norm(x, silu=True).permute(0, 4, 1, 2, 3)
            return x + functional.conv3d(images, weight, bias, padding=1).permute(0, 2, 3, 4, 1)
        affine = self.norm.measure(x)
        batch, frames, *rest = x.shape
        if frames == 1:
            # Zeros around it: only the middle of the kernel counts.
            normed = affine.apply(x, silu=True)
            return x.add_(convolve_frames(normed, weight[:, :, 1], bias, padding=1))
        before: Tensor | None = None
        for start, stop in steps(x):
            # One frame before, one after: as it was before this layer changed it.
            around = x.new_empty(batch, stop - start + 2, *rest)
            around[:, :1] = 0 if before is None else before
            known = min(stop + 1, frames)
            around[:, 1 : 1 + known - start] = affine.apply(x[:, start:known], silu=True)
            around[:, 1 + known - start :] = 0
            before = around[:, stop - start : stop - start + 1].clone()
            images = around.permute(0, 4, 1, 2, 3)
            added = functional.conv3d(images, weight, bias, padding=(0, 1, 1))
            x[:, start:stop] += added.permute(0, 2, 3, 4, 1)
            del around, images, added  # before the next ones are made
        return x


class ResidualBlock(nn.Module):
    """Norm, SiLU and convolutions in space and in time, twice, around a shortcut."""

    def __init__(self, groups: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups, inputs)
        self.conv1 = FrameConv(inputs, outputs)
        self.conv1_tmp = TimeConv(groups, outputs)
        self.norm2 = GroupNorm(groups, outputs)
        self.conv2 = FrameConv(outputs, outputs)
        self.conv2_tmp = TimeConv(groups, outputs)
        # Checkpoints have this one in every block; it runs where there is a shortcut's layer.
        self.conv3_tmp = TimeConv(groups, outputs)
        self.nin_shortcut = None if inputs == outputs else nn.Conv3d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> (B, T, H, W, outputs)."""
        hidden: Tensor = self.conv1_tmp(self.conv1(x, self.norm1))
        hidden = self.conv2(hidden, self.norm2, out=hidden)
        hidden = self.conv2_tmp(hidden)
        if self.nin_shortcut is not None:
            x = self.conv3_tmp(linear(self.nin_shortcut, x))
        return hidden.add_(x)


class FrameAttention(nn.Module):
    """Self-attention with one head within each frame."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels)
        self.q = nn.Conv3d(channels, channels, 1)
        self.k = nn.Conv3d(channels, channels, 1)
        self.v = nn.Conv3d(channels, channels, 1)
        self.proj_out = nn.Conv3d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C), which is overwritten where no gradient is needed."""
        batch, frames, height, width, channels = x.shape
        normed = self.norm(x).view(batch * frames, 1, height * width, channels)
        attended = functional.scaled_dot_product_attention(
            linear(self.q, normed), linear(self.k, normed), linear(self.v, normed)
        )
        return add_to(x, linear(self.proj_out, attended).view_as(x))


class _Distances(nn.Module):
    """A vector for each distance in time. Attribute names are the checkpoint's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embeddings_table = nn.Parameter(torch.zeros(2 * _LONGEST_DISTANCE + 1, channels))

    def forward(self, frames: int, like: Tensor) -> Tensor:
        """Give (T, T, C), from the first axis to the second."""
        times = torch.arange(frames, device=like.device)
        distances = (times - times[:, None]).clamp(-_LONGEST_DISTANCE, _LONGEST_DISTANCE)
        return self.embeddings_table.to(like.dtype)[distances + _LONGEST_DISTANCE]


class TimeAttention(nn.Module):
    """Self-attention with one head along each position's time, with relative positions."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels, _TIME_NORM_EPSILON)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.relative_position_k = _Distances(channels)
        self.relative_position_v = _Distances(channels)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C), which is overwritten where no gradient is needed."""
        batch, frames, height, width, channels = x.shape
        times = x.permute(0, 2, 3, 1, 4).reshape(-1, frames, channels)  # (B * H * W, T, C)
        # This norm sees one position's frames, not the clip's.
        norm = self.norm
        weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
        normed = functional.group_norm(
            times.transpose(1, 2), norm.groups, weight, bias, norm.epsilon
        ).transpose(1, 2)
        query, key, value = linear(self.qkv, normed).chunk(3, -1)
        logits = (query * channels**-0.5) @ key.transpose(1, 2)
        # The published code adds the positions' part with its axes exchanged, and was trained so.
        positions = self.relative_position_k(frames, query)
        logits += torch.einsum("ntc,tsc->nst", query * channels**-0.25, positions)
        attention = logits.float().softmax(-1).to(x.dtype)
        attended = attention @ value
        attended += torch.einsum("nts,tsc->ntc", attention, self.relative_position_v(frames, value))
        result = linear(self.proj_out, attended).view(batch, height, width, frames, channels)
        return add_to(x, result.permute(0, 3, 1, 2, 4))


class MiddleBlock(nn.Module):
    """Residual block, attention in space, attention in time, residual block."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(groups, channels, channels)
        self.attn_1 = FrameAttention(groups, channels)
        self.attn_1_tmp = TimeAttention(groups, channels)
        self.block_2 = ResidualBlock(groups, channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> the same shape."""
        refined: Tensor = self.block_2(self.attn_1_tmp(self.attn_1(self.block_1(x))))
        return refined


class Downsample(nn.Module):
    """Half the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, channels, (1, 3, 3), stride=(1, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> (B, T, H / 2, W / 2, C)."""
        weight, bias = layer_weights(self.conv, x)
        parts = []
        for start, stop in steps(x):
            # One row and column of zeros at the far sides only.
            padded = functional.pad(x[:, start:stop], (0, 0, 0, 1, 0, 1))
            parts.append(convolve_frames(padded, weight.squeeze(2), bias, stride=2))
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


class Upsample(nn.Module):
    """Twice the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = FrameConv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> (B, T, 2H, 2W, C)."""
        weight, bias = layer_weights(self.conv, x)
        batch, frames, height, width, channels = x.shape
        enlarged = x.new_empty(batch, frames, 2 * height, 2 * width, channels)
        for start, stop in steps(x, 4 * channels):
            enlarged[:, start:stop] = enlarge_frames(x[:, start:stop], weight.squeeze(2), bias)
        return enlarged


def row_moments(x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of each pixel row's groups of channels.

    With the kernel that PyTorch has for channels-last tensors on processors, several times faster
    than `frame_moments`. Over millions of values its plain sums lose digits that show in the
    result; a row has few.

    Args:
        x: (B, T, H, W, C) float32.
        groups: Of channels.

    Returns:
        (B, T * H, groups) each.
    """
    batch, frames, height, width, channels = x.shape
    rows = x.reshape(-1, 1, width, channels).permute(0, 3, 1, 2)
    _, means, rates = torch.native_group_norm(
        rows, None, None, len(rows), channels, width, groups, NORM_EPSILON
    )
    variances = rates.double() ** -2 - NORM_EPSILON
    shape = (batch, frames * height, groups)
    return means.view(shape), variances.view(shape)


def frame_moments(x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of each frame's groups of channels, (B, T, groups) each; any device."""
    batch, frames, height, width, channels = x.shape
    split = x.reshape(batch, frames, height * width, groups, channels // groups)
    variances, means = torch.var_mean(split, (2, 4), correction=0)
    return means, variances


def add_to(x: Tensor, added: Tensor) -> Tensor:
    """Sum of both; `x` is overwritten where no gradient is needed."""
    return x + added if torch.is_grad_enabled() else x.add_(added)


def steps(x: Tensor, channels: int = 0) -> Iterator[tuple[int, int]]:
    """Cut the frames of (B, T, H, W, C) into steps of bounded size.

    Args:
        x: The features.
        channels: Of what is made of them, where that is more.
    """
    batch, frames, height, width, own = x.shape
    longest = max(1, VALUES_PER_STEP // (batch * height * width * max(own, channels)))
    for start in range(0, frames, longest):
        yield start, min(start + longest, frames)
