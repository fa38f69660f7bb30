"""Style distance in the features of a trained network, where its package is installed."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.errors import OptionError
from refvid.metrics.st_lpips import SMALLEST_SIDE, load_st_lpips_network
from refvid.metrics.style import Picture

_AREA = 256 * 256
"""Pictures are brought to this many pixels: strokes are a few positions of the deeper layers."""

Grams = list[Tensor]
"""(C, C) of each depth."""


class StyleFeatures:
    """Gram matrices of VGG16 with blur pooling (Gatys et al. 2016; weights of ST-LPIPS)."""

    def __init__(self, network: nn.Module) -> None:
        """`network` is `load_st_lpips_network("vgg")`."""
        self._network = network

    @torch.inference_mode()
    def grams(self, picture: Picture) -> Grams:
        """Which features occur together, at five depths.

        Args:
            picture: (H, W, 3) RGB, uint8 or uint16 at full scale.
        """
        white = float(np.iinfo(picture.dtype).max)
        pixels = torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32))
        shown = pixels.permute(2, 0, 1)[None].div(white / 2).sub(1)
        scale = math.sqrt(_AREA / (shown.shape[2] * shown.shape[3]))
        size = [max(round(side * scale), SMALLEST_SIDE) for side in shown.shape[2:]]
        shown = functional.interpolate(shown, size=size, mode="bicubic", antialias=True)
        maps: list[Tensor] = self._network.features(shown.clamp(-1, 1))  # type: ignore[operator]
        flat = [features[0].flatten(1) for features in maps]
        return [features @ features.T / features.shape[1] for features in flat]


def load_style_features() -> StyleFeatures | None:
    """Make them ready; None where the package with the weights is not installed.

    Raises:
        CheckpointUnavailable, CheckpointMismatch: Its weights are missing, damaged or others.
    """
    try:
        network = load_st_lpips_network("vgg")
    except OptionError:
        return None
    return StyleFeatures(network.eval().requires_grad_(False))


def features_distance(picture: Grams, style: Grams) -> float:
    """Mean over the depths of how far Gram matrices are apart, in sizes of the style's.

    Returns:
        0 for equal statistics.
    """
    apart = [
        float((ours - theirs).norm() / theirs.norm().clamp_min(1e-6))
        for ours, theirs in zip(picture, style, strict=True)
    ]
    return sum(apart) / len(apart)
