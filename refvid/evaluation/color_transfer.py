"""Colour statistics of one picture put on another: what restyling is compared with.

Both methods move every pixel by its colour alone, whatever surrounds it: a tint, without strokes
or texture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""

Colors = NDArray[np.float64]
"""(N, 3)."""

_SMALLEST_SPREAD = 1e-6

# Björn Ottosson, "A perceptual color space for image processing" (2020).
_LINEAR_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_CONES_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def transfer_reinhard(picture: Picture, style: Picture) -> Picture:
    """Give a picture the mean and spread of a style's colours, axis by axis.

    Reinhard et al. 2001, "Color Transfer between Images", in Oklab, which has the decorrelated
    axes of their l-alpha-beta and, unlike its logarithm, no trouble with black.
    """
    moved = match_moments(to_oklab(_flat(picture)), to_oklab(_flat(style)))
    return _picture(from_oklab(moved), picture.shape)


def transfer_optimal(picture: Picture, style: Picture) -> Picture:
    """Give a picture the mean and covariance of a style's colours in RGB, moving them the least.

    The linear Monge-Kantorovich map between Gaussians (Pitié & Kokaram 2007).
    """
    return _picture(match_covariance(_flat(picture), _flat(style)), picture.shape)


def match_moments(colors: Colors, style: Colors) -> Colors:
    """Shift and scale each axis to the style's mean and standard deviation."""
    spread = np.maximum(colors.std(0), _SMALLEST_SPREAD)
    moved: Colors = (colors - colors.mean(0)) * (style.std(0) / spread) + style.mean(0)
    return moved


def match_covariance(colors: Colors, style: Colors) -> Colors:
    """Move colours by the linear map that gives them the style's mean and covariance."""
    own = np.cov(colors.T, bias=True) + _SMALLEST_SPREAD**2 * np.eye(3)
    root, inverse = _powers(own)
    middle, _ = _powers(root @ np.cov(style.T, bias=True) @ root)
    moved: Colors = (colors - colors.mean(0)) @ (inverse @ middle @ inverse) + style.mean(0)
    return moved


def to_oklab(colors: Colors) -> Colors:
    """SRGB in [0, 1] -> Oklab."""
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    lab: Colors = np.cbrt(linear @ _LINEAR_TO_CONES.T) @ _CONES_TO_OKLAB.T
    return lab


def from_oklab(lab: Colors) -> Colors:
    """Oklab -> sRGB; beyond [0, 1] where there is no such colour."""
    cones = (lab @ np.linalg.inv(_CONES_TO_OKLAB).T) ** 3
    linear = cones @ np.linalg.inv(_LINEAR_TO_CONES).T
    size = np.abs(linear)
    curved = np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055)
    colors: Colors = np.sign(linear) * curved
    return colors


def _powers(matrix: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Square root of a symmetric positive matrix, and the root's inverse."""
    values, vectors = np.linalg.eigh(matrix)
    roots = np.sqrt(np.maximum(values, 0))
    inverses = 1 / np.maximum(roots, _SMALLEST_SPREAD)
    return (vectors * roots) @ vectors.T, (vectors * inverses) @ vectors.T


def _flat(picture: Picture) -> Colors:
    """(H, W, 3) -> (N, 3) in [0, 1]."""
    return picture.reshape(-1, 3).astype(np.float64) / 255


def _picture(colors: Colors, shape: tuple[int, ...]) -> Picture:
    return (colors.clip(0, 1) * 255).round().astype(np.uint8).reshape(shape)
