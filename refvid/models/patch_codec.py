"""The codec: a fixed orthonormal patch transform instead of a learned encoder.

The paper freezes its encoder; here it need not be learned at all. Every 8x8 patch is rotated into
luma and chroma (an orthonormal colour basis) and into frequencies (DCT-II). With all frequencies
kept the round trip is exact, so that whatever needs no help comes out as it went in.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_PATCH = 8
"""Side of the patches [pixels]."""


class PatchCodec(nn.Module):
    """Clip <-> latents, deterministic and without weights to learn.

    Args:
        chroma: Side of the square of low frequencies kept of each chroma plane's patch.
    """

    basis: Tensor

    def __init__(self, chroma: int = 8) -> None:
        super().__init__()
        self.register_buffer("basis", patch_basis(_PATCH, chroma), persistent=False)

    def encode(self, frames: Tensor, channels: int | None = None) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, C, H/8, W/8), fp32; H and W multiples of 8.

        `channels` is how many of the first ones are needed; None: all.
        """
        # Columns of the basis are in the order of a kernel's values: a convolution over steps of a
        # patch takes a third of the time of patches that are made beforehand.
        kernels = self.basis[:channels].view(-1, 3, _PATCH, _PATCH)
        return functional.conv2d(frames.float().contiguous(), kernels, stride=_PATCH)

    def decode(self, latents: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, 3, 8h, 8w), fp32, not clamped.

        Latents may hold fewer channels than the codec: those of files of refvid 0.1 lack the upper
        chroma frequencies, which come last.
        """
        basis = self.basis[: latents.shape[1]]
        patches = functional.conv2d(latents.float(), basis.T[:, :, None, None])
        pixels: Tensor = functional.pixel_shuffle(patches, _PATCH)
        return pixels


def patch_basis(patch: int, chroma: int) -> Tensor:
    """Rows of the transform: (channels, 3 * patch * patch), orthonormal.

    All of luma, then the low quarter of both chroma planes, then what else is kept of them.
    Columns are in the order of `pixel_unshuffle`: colour, row, column.
    """
    # Numbers, whatever device is the default: on "meta", indexing alone takes seconds.
    with torch.device("cpu"):
        dct = _dct_matrix(patch)
        # Axes: vertical frequency, horizontal frequency, row, column.
        waves = torch.einsum("iy,jx->ijyx", dct, dct)
        kept = [(row, column) for row in range(chroma) for column in range(chroma)]
        low = [place for place in kept if max(place) < patch // 2]
        rest = [place for place in kept if max(place) >= patch // 2]
        luma, *chromas = _colors()
        rows = [_rows(waves.flatten(0, 1), luma)]
        for places in (low, rest):
            index = torch.tensor(places, dtype=torch.int64).view(-1, 2)
            rows += [_rows(waves[index[:, 0], index[:, 1]], color) for color in chromas]
        return torch.cat(rows).float()


def _colors() -> Tensor:
    """Orthonormal luma and chroma axes in RGB, one a row."""
    colors = torch.tensor(
        [[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]], dtype=torch.float64
    )
    return functional.normalize(colors, dim=1)


def _rows(waves: Tensor, color: Tensor) -> Tensor:
    """(K, row, column) waves of one colour -> (K, 3 * row * column)."""
    return (waves[:, None] * color[:, None, None]).flatten(1)


def _dct_matrix(size: int) -> Tensor:
    """Orthonormal DCT-II, (frequency, sample)."""
    sample = torch.arange(size, dtype=torch.float64)
    frequency = sample[:, None]
    matrix = torch.cos(math.pi * (sample + 0.5) * frequency / size) * math.sqrt(2.0 / size)
    matrix[0] /= math.sqrt(2.0)
    return matrix
