"""SSIM as FFmpeg's filter `ssim` computes it, for figures next to FFmpeg's.

It differs from the one of the papers (`refvid.metrics.ssim.ssim`): flat windows of 8x8 pixels,
one every 4 pixels, and a first constant that is 64 times smaller, so that differences in dark flat
parts weigh heavily. See `ssim_end1` in
https://github.com/FFmpeg/FFmpeg/blob/master/libavfilter/vf_ssim.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refvid.metrics.pairs import EmptyMask, Mask, check_mask, check_pair

_STEP = 4
_WINDOW_PIXELS = 64


def ssim_ffmpeg(picture: NDArray[Any], reference: NDArray[Any], mask: Mask | None = None) -> float:
    """Structural similarity in windows of 8x8 pixels, mean over windows and colours.

    On the same RGB values it is what FFmpeg prints as All for
    `-lavfi "[0]format=gbrp[a];[1]format=gbrp[b];[a][b]ssim"`.
    Without `format=gbrp`, FFmpeg compares Y, Cb and Cr instead.

    Args:
        picture: (H, W, 3) RGB, uint8 or uint16 at full scale, at least 8 pixels a side.
        reference: Of the same shape and type.
        mask: (H, W) weights of the pixels; a window weighs as much as its pixels together.

    Raises:
        ValueError: Shapes or types differ, or the picture is too small; `EmptyMask`: it is.
    """
    check_pair(picture, reference)
    if min(picture.shape[:2]) < 2 * _STEP:
        raise ValueError(f"a side of {picture.shape[:2]} is shorter than 8 pixels")
    peak = int(np.iinfo(picture.dtype).max)
    x, y = picture.astype(np.int64), reference.astype(np.int64)
    sum_x, sum_y = _window_sums(x), _window_sums(y)
    variances = _window_sums(x * x + y * y) * _WINDOW_PIXELS - sum_x**2 - sum_y**2
    covariance = _window_sums(x * y) * _WINDOW_PIXELS - sum_x * sum_y
    c1 = int(0.01**2 * peak**2 * _WINDOW_PIXELS + 0.5)
    c2 = int(0.03**2 * peak**2 * _WINDOW_PIXELS * (_WINDOW_PIXELS - 1) + 0.5)
    luminance = (2 * sum_x * sum_y + c1) / (sum_x**2 + sum_y**2 + c1)
    windows = (luminance * (2 * covariance + c2) / (variances + c2)).mean(axis=2)
    if mask is None:
        return float(windows.mean())
    check_mask(mask, picture.shape)
    weights = _window_sums(mask.astype(np.float64))
    if not weights.any():
        raise EmptyMask("the mask is empty but for the last rows or columns")
    return float((windows * weights).sum() / weights.sum())


def _window_sums(values: NDArray[Any]) -> NDArray[Any]:
    """Sum (H, W, ...) over the windows: (H // 4 - 1, W // 4 - 1, ...)."""
    rows, columns = (side // _STEP for side in values.shape[:2])
    whole = values[: rows * _STEP, : columns * _STEP]
    split: NDArray[Any] = whole.reshape(rows, _STEP, columns, _STEP, *values.shape[2:])
    # One axis after the other: three times faster.
    blocks: NDArray[Any] = split.sum(axis=1).sum(axis=2)
    pairs: NDArray[Any] = blocks[1:] + blocks[:-1]
    sums: NDArray[Any] = pairs[:, 1:] + pairs[:, :-1]
    return sums
