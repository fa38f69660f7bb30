"""Full-reference measures of pictures: PSNR and SSIM."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_SSIM_SIGMA = 1.5
_SSIM_RADIUS = 5
_SSIM_K1, _SSIM_K2 = 0.01, 0.03


def psnr(picture: NDArray[Any], reference: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio [dB] over all pixels and colours.

    Args:
        picture: (..., H, W, 3) uint8 RGB.
        reference: Of the same shape.

    Returns:
        Infinity where both are equal.
    """
    error = picture.astype(np.float32) - reference.astype(np.float32)
    mean_square = float(np.mean(np.square(error), dtype=np.float64))
    return math.inf if mean_square == 0 else 10 * math.log10(255.0**2 / mean_square)


def ssim(picture: NDArray[Any], reference: NDArray[Any]) -> float:
    """Structural similarity, mean over pixels and colours (Wang et al. 2004).

    Gaussian window of 11 pixels, sigma 1.5, population covariance; pixels nearer to the border
    than the window's radius are left out, as in scikit-image with `gaussian_weights=True`.

    Args:
        picture: (H, W, 3) uint8 RGB, at least 11 pixels a side.
        reference: Of the same shape.
    """
    x, y = (_planes(array) for array in (picture, reference))
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x**2
    variance_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (_SSIM_K1 * 255) ** 2, (_SSIM_K2 * 255) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return float((luminance * structure).mean())


def _planes(array: NDArray[Any]) -> Tensor:
    # Double: variances are small differences of large squares.
    return torch.from_numpy(np.ascontiguousarray(array)).double().permute(2, 0, 1)[:, None]


def _blur(planes: Tensor) -> Tensor:
    offset = torch.arange(-_SSIM_RADIUS, _SSIM_RADIUS + 1, dtype=planes.dtype)
    kernel = torch.exp(-0.5 * (offset / _SSIM_SIGMA) ** 2)
    kernel = kernel / kernel.sum()
    return functional.conv2d(
        functional.conv2d(planes, kernel[None, None, :, None]), kernel[None, None, None, :]
    )
