"""The codec: a fixed orthonormal patch transform instead of a learned encoder.

The paper freezes its encoder; here it need not be learned at all. Every 8x8 patch is rotated into
luma and chroma (an orthonormal colour basis) and into frequencies (DCT-II). All luma frequencies
and the low quarter of the chroma ones are the latents. In 4:2:0 video, fine detail lies along
(1, 1, 1) in RGB by construction, so what is dropped is close to nothing: the round trip is exact
for luma and, because the rows are orthonormal, decoding is the transposed matrix.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.models.mini.config import MiniConfig


class PatchCodec(nn.Module):
    """Clip <-> latents, deterministic and without weights to learn."""

    basis: Tensor

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.register_buffer("basis", patch_basis(config), persistent=False)

    def encode(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, C, H/8, W/8), fp32; H and W multiples of 8."""
        patches = functional.pixel_unshuffle(frames.float(), self.patch)
        return functional.conv2d(patches, self.basis[:, :, None, None])

    def decode(self, latents: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, 3, 8h, 8w), fp32, not clamped."""
        patches = functional.conv2d(latents.float(), self.basis.T[:, :, None, None])
        return functional.pixel_shuffle(patches, self.patch)


def patch_basis(config: MiniConfig) -> Tensor:
    """Rows of the transform: (latent channels, 3 * patch * patch), orthonormal.

    Columns are in the order of `pixel_unshuffle`: colour, row, column.
    """
    dct = _dct_matrix(config.patch)
    # Axes: vertical frequency, horizontal frequency, row, column.
    waves = torch.einsum("iy,jx->ijyx", dct, dct)
    colors = torch.tensor(
        [[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]], dtype=torch.float64
    )
    colors = colors / colors.norm(dim=1, keepdim=True)
    rows = []
    for color, kept in zip(colors, _kept_frequencies(config), strict=True):
        low = waves[:kept, :kept].reshape(kept * kept, 1, -1)
        rows.append((low * color[None, :, None]).reshape(kept * kept, -1))
    return torch.cat(rows).float()


def _kept_frequencies(config: MiniConfig) -> tuple[int, int, int]:
    return config.patch, config.chroma_coefficients, config.chroma_coefficients


def _dct_matrix(size: int) -> Tensor:
    """Orthonormal DCT-II, (frequency, sample)."""
    sample = torch.arange(size, dtype=torch.float64)
    frequency = sample[:, None]
    matrix = torch.cos(math.pi * (sample + 0.5) * frequency / size) * math.sqrt(2.0 / size)
    matrix[0] /= math.sqrt(2.0)
    return matrix
