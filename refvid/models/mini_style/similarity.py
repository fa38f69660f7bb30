"""How much of a picture's structure is kept: what is compared is where its edges are."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from refvid.models.mini_style.smooth import box_mean

_WINDOW = 7
"""Side of the boxes in which edges are compared [pixels]."""

_FAINT, _FAINT_CONTRAST = 0.02**2, 0.06**2
"""The constants of SSIM (Wang et al. 2004), for a range of 2."""


def gradient_similarity(one: Tensor, other: Tensor) -> Tensor:
    """SSIM of the gradient magnitudes of two planes (1, 1, H, W) in about [-1, 1]: a scalar."""
    first, second = _gradients(one), _gradients(other)
    mean, mean_other = box_mean(first, _WINDOW), box_mean(second, _WINDOW)
    spread = box_mean(first.square(), _WINDOW) - mean.square()
    spread_other = box_mean(second.square(), _WINDOW) - mean_other.square()
    together = box_mean(first * second, _WINDOW) - mean * mean_other
    alike = (2 * mean * mean_other + _FAINT) * (2 * together + _FAINT_CONTRAST)
    most = (mean.square() + mean_other.square() + _FAINT) * (
        spread + spread_other + _FAINT_CONTRAST
    )
    return (alike / most).mean()


def _gradients(plane: Tensor) -> Tensor:
    padded = functional.pad(plane, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return (across.square() + down.square()).sqrt()
