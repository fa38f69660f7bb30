"""Which of many references are likely to show what a frame shows, before any is placed.

Counts of matched features, of small pictures: hundreds of references cost little more than the
features of the frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refvid.models.backbone import Reference
from refvid.models.mini.alignment import gray
from refvid.models.mini.features import Features, find_features, match_features
from refvid.models.mini.resampling import Picture, shrink_to_area

_AREA = 1 << 17
"""Pictures are compared at this size [pixels]."""

_KEPT = 600
"""Features of each reference that are remembered: about 150 KB."""

_KEY = "features"


def rank(given: Sequence[Reference], frame: Picture) -> list[int]:
    """Order references by how much they seem to have in common with a frame (H, W, 3).

    Returns:
        Their positions, the likeliest first; those that are alike stay in order.
    """
    ours = _features(frame)
    counts = [len(match_features(ours, _remembered(one))) for one in given]
    return sorted(range(len(given)), key=lambda position: -counts[position])


def _features(picture: Picture) -> Features:
    return find_features(gray(shrink_to_area(picture, _AREA)), most=_KEPT)


def _remembered(reference: Reference) -> Features:
    found = reference.remembered.get(_KEY)
    if found is None:
        found = _features(reference.read())
        reference.remembered[_KEY] = Features(
            points=found.points, descriptors=found.descriptors.astype(np.float16)
        )
    return Features(points=found.points, descriptors=found.descriptors.astype(np.float32))
