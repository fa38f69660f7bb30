"""Convolutions of videos in parts: each frame alone, each pixel's time alone, twice the size.

Features are (B, T, H, W, C), channels last. Weights may be stored in another precision than the
features have.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def convolve_frames(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int = 1, padding: int = 0
) -> Tensor:
    """Convolve every frame of (B, T, H, W, C) with a kernel (outputs, C, h, w)."""
    images = x.flatten(0, 1).permute(0, 3, 1, 2)
    return _as_frames(functional.conv2d(images, weight, bias, stride, padding), x)


def convolve_times(x: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int = 1) -> Tensor:
    """Convolve (B, T, H, W, C) in time alone with a kernel (outputs, C, t, 1, 1), no padding.

    As a convolution over images of one pixel row per frame, which is fast on every device.
    """
    batch, _, height, width, _ = x.shape
    rows = x.flatten(2, 3).permute(0, 3, 1, 2)  # (B, C, T, H * W)
    result = functional.conv2d(rows, weight.squeeze(-1), bias, stride=(stride, 1))
    outputs, frames = result.shape[1:3]
    return result.permute(0, 2, 3, 1).reshape(batch, frames, height, width, outputs)


def enlarge_frames(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(B, T, H, W, C) -> (B, T, 2H, 2W, outputs): nearest neighbour and a 3x3 convolution.

    Both at once, as a transposed convolution of 4x4 taps: four multiplications per pixel
    instead of nine, and no enlarged tensor in between.
    """
    for axis in (2, 3):
        near, middle, far = weight.unbind(axis)
        weight = torch.stack((far, middle + far, near + middle, near), axis)
    enlarged = functional.conv_transpose2d(
        x.flatten(0, 1).permute(0, 3, 1, 2), weight.transpose(0, 1), bias, stride=2, padding=1
    )
    return _as_frames(enlarged, x)


def _as_frames(images: Tensor, like: Tensor) -> Tensor:
    """(B * T, C, H, W) -> (B, T, H, W, C) with the batch and frames of another tensor."""
    channels, height, width = images.shape[1:]
    return images.permute(0, 2, 3, 1).reshape(*like.shape[:2], height, width, channels)


def layer_weights(layer: nn.Module, like: Tensor) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a convolution in the precision of the features."""
    assert isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose3d)
    bias = None if layer.bias is None else layer.bias.to(like.dtype)
    return layer.weight.to(like.dtype), bias


def linear(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a convolution of one tap to the last axis."""
    weight, bias = layer_weights(layer, x)
    return functional.linear(x, weight.flatten(1), bias)
