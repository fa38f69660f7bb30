"""Places that look alike in two pictures: scale-invariant features and their nearest neighbours.

SIFT (Lowe, 2004) with the square root of its descriptors (RootSIFT, Arandjelović and Zisserman,
2012). Both are steady under scale, rotation and exposure; what a compressed or enlarged frame has
lost are the finest features, so a sharp picture is compared by a slightly blurred copy of itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_MAX_FEATURES = 4000
"""Bounds the comparison of all with all; the strongest are kept."""

_CONTRAST_THRESHOLD = 0.01
"""A quarter of SIFT's usual one: degraded frames have little contrast left in their details."""

_RATIO = 0.8
"""A match must be closer by this factor than the next best place (Lowe, 2004, section 7.1)."""

_QUERIES_AT_ONCE = 1024
"""Bounds the memory of the comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Distinct places of one picture."""

    points: NDArray[np.float32]
    """(N, 2) x, y [pixels]; a pixel's centre has whole numbers."""

    descriptors: NDArray[np.floating[Any]]
    """(N, 128), unit length."""


def find_features(
    gray: NDArray[np.uint8], *, blur_px: float = 0.0, most: int = _MAX_FEATURES
) -> Features:
    """Describe the most distinct places of a gray picture (H, W), after a Gaussian blur."""
    if blur_px > 0:
        gray = np.asarray(cv2.GaussianBlur(gray, (0, 0), blur_px), np.uint8)
    detector = cv2.SIFT.create(most, contrastThreshold=_CONTRAST_THRESHOLD)
    keypoints, found = detector.detectAndCompute(gray, None)
    if found is None or not keypoints:
        return Features(
            points=np.zeros((0, 2), np.float32), descriptors=np.zeros((0, 128), np.float32)
        )
    points = np.array([keypoint.pt for keypoint in keypoints], np.float32)
    descriptors = np.asarray(found, np.float32)
    total = np.maximum(descriptors.sum(1, keepdims=True), 1e-6)
    return Features(points=points, descriptors=np.sqrt(descriptors / total))


def match_features(queries: Features, keys: Features) -> NDArray[np.intp]:
    """Pairs that are clearly closer than any other pair of the same query.

    Returns:
        (M, 2) indices into `queries` and `keys`; no query occurs twice.
    """
    if len(keys.points) < 2 or not len(queries.points):
        return np.zeros((0, 2), np.intp)
    pairs = []
    for start in range(0, len(queries.points), _QUERIES_AT_ONCE):
        similarity = queries.descriptors[start : start + _QUERIES_AT_ONCE] @ keys.descriptors.T
        best = similarity.argmax(1)
        two = np.partition(similarity, -2, axis=1)[:, -2:]  # next best, best
        distance = np.sqrt(np.maximum(2 - 2 * two, 0))
        clear = np.flatnonzero(distance[:, 1] < _RATIO * distance[:, 0])
        pairs.append(np.stack((clear + start, best[clear]), 1))
    return np.concatenate(pairs)
