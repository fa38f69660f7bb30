"""The latents of the Wan 2.1 VAE: their statistics, and what they are mistaken for.

Wan 2.1, Wan 2.2 A14B, SkyReels-V2 and Qwen-Image share that VAE; VideoVAE+ has as many channels and
the same strides.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

CHANNELS: Final = 16
SPATIAL_STRIDE: Final = 8
TEMPORAL_STRIDE: Final = 4
DEFAULT_RATE: Final = 16
"""Frames per second that Wan's models generate."""

# Published with the VAE's configuration.
# fmt: off
MEAN: Final = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)
STD: Final = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)
# fmt: on

OTHER_MODELS: Final = {
    4: "Stable Diffusion (4 channels)",
    12: "Mochi (12 channels)",
    24: "a model with 24 channels",
    32: "a model with 32 channels",
    48: "the Wan 2.2 5B model (48 channels)",
    64: "packed image latents (64 channels)",
    96: "refvid's mini model (96 channels)",
    128: "LTX-Video (128 channels)",
    192: "refvid's mini model (192 channels)",
}
"""By number of channels, for the message that refuses them."""


def to_raw(normalised: Tensor) -> Tensor:
    """Undo a pipeline's normalisation: (B, 16, t, h, w) -> z = normalised * std + mean."""
    shape = (1, CHANNELS, 1, 1, 1)
    mean = torch.tensor(MEAN, dtype=normalised.dtype).view(shape)
    return normalised * torch.tensor(STD, dtype=normalised.dtype).view(shape) + mean
