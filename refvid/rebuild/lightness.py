"""Colours of one clip, lightness of another."""

from __future__ import annotations

import torch
from torch import Tensor


def keep_chroma(original: Tensor, restyled: Tensor, weights: tuple[float, float, float]) -> Tensor:
    """Give a clip the luma of another one, and leave its chroma.

    In the video's own luma and chroma rather than in a perceptual space such as Oklab: chroma is
    then what the file stores beside luma, so that an encoder that halves it loses nothing anew,
    and the hue is the one the player showed before. It is also the
    luminance-only transfer of "Preserving Color in Neural Artistic Style Transfer" (Gatys et al.,
    arXiv:1606.05897), with the matrix of the clip in place of YIQ's.

    In this space chroma is the difference between colour and grey of that luma, so that only luma
    moves. Where such a colour lies outside of RGB, it is drawn towards grey until it fits: luma
    and hue stay.

    Args:
        original: (B, 3, T, H, W) in [-1, 1]: gives the chroma.
        restyled: The same, gives the luma.
        weights: Of red, green and blue in luma; they sum to 1.

    Returns:
        (B, 3, T, H, W) in [-1, 1].
    """
    red, green, blue = weights

    def luma(clip: Tensor) -> Tensor:
        return clip[:, :1] * red + clip[:, 1:2] * green + clip[:, 2:] * blue

    chroma = original - luma(original)
    target = luma(restyled.clamp(-1, 1))
    # How much of the chroma fits, of the channel that fits least.
    room = torch.where(chroma > 0, 1 - target, 1 + target)
    share = (room / chroma.abs().clamp_min(1e-6)).amin(1, keepdim=True).clamp(0, 1)
    return target + chroma * share
