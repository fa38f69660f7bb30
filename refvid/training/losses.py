"""The training loss, without downloaded networks."""

from __future__ import annotations

from torch import Tensor

_CHARBONNIER = 1e-3
"""Below this error [1 = half the range of a pixel] the loss turns from absolute to squared."""


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """Charbonnier loss on pixels and on their horizontal and vertical differences.

    The differences weigh fine detail, which an error in pixels alone averages away.

    Args:
        output: (..., H, W) in [-1, 1].
        target: Of the same shape.
    """
    error = output - target
    pixels = (error.square() + _CHARBONNIER**2).sqrt().mean()
    rows = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    columns = (error[..., 1:] - error[..., :-1]).abs().mean()
    return pixels + 0.5 * (rows + columns)
