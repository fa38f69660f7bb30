"""Sizes of the mini backbone, stored beside its weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniConfig:
    """One network. A token is a latent position: 8x8 pixels."""

    patch: int = 8
    """Side of the codec's patches, and of a token [pixels]."""

    chroma_coefficients: int = 4
    """Side of the square of low frequencies that is kept of each chroma plane's patch."""

    descriptor_channels: int = 16
    """Length of the vectors that the fine reference attention compares."""

    descriptor_width: int = 24
    """Hidden channels of the networks that make those vectors."""

    context_channels: int = 12
    """Learned values that come along with the reference's pixels."""

    search_radius_px: int = 3
    """The fine attention looks so far around the place that matching found [pixels]."""

    widths: tuple[int, int, int] = (32, 64, 96)
    """Channels of the fusion network at 1/2, 1/4 and 1/8 of the frame's size."""

    depths: tuple[int, int, int, int, int] = (1, 2, 2, 1, 2)
    """Residual blocks going down (1/2, 1/4, 1/8) and up again (1/4, 1/2)."""

    @property
    def latent_channels(self) -> int:
        """Luma is kept whole, chroma at half resolution: 64 + 2 * 16 for 8x8 patches."""
        return self.patch**2 + 2 * self.chroma_coefficients**2
