"""Colours from one camera to another: an affine map, fitted on what both pictures show.

A photo of a scene differs from its video in exposure, white balance, contrast and saturation.
Three gains are not enough and a free 3x4 matrix is too much where the overlap is plain or nearly
gray, so the matrix is drawn towards plain gains as far as the colours do not ask for more.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.models.mini.resampling import Picture

ColorMap = NDArray[np.float32]
"""(3, 4): RGB in 0..255 and a one -> RGB in 0..255."""

IDENTITY: ColorMap = np.eye(3, 4, dtype=np.float32)

_BLUR_PX = 6.0
"""Colours are compared without the detail that one of the pictures lacks [pixels]."""

_STEP_PX = 8
"""One sample per so many pixels."""

_MIN_SAMPLES = 24

_CLIPPED = (4.0, 250.0)
"""Levels outside were cut off by one of the cameras."""

_NOISE = 2.0
"""Differences up to this weigh the same; larger ones ever less [levels]."""

_GAIN_DOUBT = 4.0
"""Contrast that speaks against the ratio of brightness as the gain [levels]."""

_CROSSTALK_DOUBT = 3.0
"""Contrast of colour that speaks for mixing channels [levels]."""

_GAINS = (0.3, 3.0)
_MAX_CROSSTALK = 0.5
_ROUNDS = 8

_SNAP = 2.5
"""A map that moves colours by less than this on average is none: compression and the colour
conversions of cheap tools move whole frames by 1 to 2 [levels]."""


def fit_colors(view: Picture, frame: Picture, mask: NDArray[np.bool_]) -> ColorMap:
    """Find the map from the colours of `view` to those of `frame`.

    Things that moved, highlights that were clipped and places that do not fit carry little or no
    weight. With too little to go by, the result is the identity.

    Args:
        view: (H, W, 3) RGB, registered to the frame.
        frame: (H, W, 3) RGB.
        mask: (H, W), true where `view` shows what `frame` shows.

    Returns:
        (3, 4), see `ColorMap`; exactly the identity where that fits as well.

    Raises:
        ValueError: The sizes differ.
    """
    if view.shape != frame.shape or view.shape[:2] != mask.shape:
        raise ValueError(f"sizes differ: {view.shape}, {frame.shape}, {mask.shape}")
    source, target = _samples(view, frame, mask)
    if len(source) < _MIN_SAMPLES:
        return IDENTITY.copy()
    weights = np.ones(len(source))
    fitted = np.eye(3, 4)
    for _ in range(_ROUNDS):
        fitted = _fit(source, target, weights)
        error = np.abs(source @ fitted[:, :3].T + fitted[:, 3] - target).max(1)
        weights = 1 / np.maximum(error, _NOISE)
    moved = source @ fitted[:, :3].T + fitted[:, 3] - source
    if np.average(np.abs(moved).max(1), weights=weights) < _SNAP:
        return IDENTITY.copy()
    return fitted.astype(np.float32)


def apply_colors(picture: Picture, colors: ColorMap) -> Picture:
    """Map a picture (H, W, 3); what leaves 0..255 is clipped."""
    if np.array_equal(colors, IDENTITY):
        return picture
    return np.asarray(cv2.transform(picture, colors), np.uint8)


def _samples(
    view: Picture, frame: Picture, mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Blurred colours (N, 3) of both where neither is clipped and the mask is all true."""
    height, width = mask.shape
    size = (max(1, width // _STEP_PX), max(1, height // _STEP_PX))
    usable = mask & _unclipped(view) & _unclipped(frame)
    share = _shrink(usable.astype(np.float32), size)
    # Normalised by the share, what is not usable does not bleed into its neighbours.
    kept = usable[..., None].astype(np.float32)
    both = [_shrink(picture * kept, size) for picture in (view, frame)]
    enough = share > 0.5
    source, target = (
        picture[enough].astype(np.float64) / share[enough, None].astype(np.float64)
        for picture in both
    )
    return source, target


def _unclipped(picture: Picture) -> NDArray[np.bool_]:
    darkest, brightest = picture.min(-1), picture.max(-1)
    return np.asarray((darkest > _CLIPPED[0]) & (brightest < _CLIPPED[1]))


def _shrink(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    blurred = cv2.GaussianBlur(values, (0, 0), _BLUR_PX)
    return np.asarray(cv2.resize(blurred, size, interpolation=cv2.INTER_AREA), np.float32)


def _fit(
    source: NDArray[np.float64], target: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted least squares with priors: first three gains, then the matrix near them."""
    weights = weights / weights.sum()
    means = weights @ source, weights @ target
    x, y = source - means[0], target - means[1]
    weighted = x * weights[:, None]
    # A plain overlap says nothing about contrast: then brightness is taken for exposure.
    likely = np.clip((means[1] + 16) / (means[0] + 16), *_GAINS)
    variance = (weighted * x).sum(0)
    gains = ((weighted * y).sum(0) + _GAIN_DOUBT**2 * likely) / (variance + _GAIN_DOUBT**2)
    gains = np.clip(gains, *_GAINS)
    rest = y - x * gains
    correction = np.linalg.solve(
        weighted.T @ x + _CROSSTALK_DOUBT**2 * np.eye(3), weighted.T @ rest
    )
    crosstalk = np.clip(correction.T, -_MAX_CROSSTALK, _MAX_CROSSTALK)
    matrix = np.diag(gains) + crosstalk
    np.fill_diagonal(matrix, np.clip(matrix.diagonal(), *_GAINS))
    return np.column_stack((matrix, means[1] - matrix @ means[0]))
