"""Box means: what is smooth in a picture, and by difference what is detail."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def box_mean(pictures: Tensor, size: int) -> Tensor:
    """Mean over `size` x `size` pixels around each; at the border over those that there are.

    First along columns, then along rows: the same, several times as fast.

    Args:
        pictures: (N, C, H, W).
        size: Odd [pixels].
    """
    half = size // 2
    down = functional.avg_pool2d(
        pictures, (size, 1), stride=1, padding=(half, 0), count_include_pad=False
    )
    return functional.avg_pool2d(
        down, (1, size), stride=1, padding=(0, half), count_include_pad=False
    )
