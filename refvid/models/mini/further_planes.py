"""Scenes with depth: several planes, and a map that goes over smoothly from one to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.models.mini.overlay import Matches, Overlay, with_plane
from refvid.models.mini.planes import MATCH_ERROR_PX, find_inliers, is_plausible
from refvid.models.mini.smooth_map import SmoothMap, pixel_grid

_NODE_PX = 8
"""Distance of the nodes between which a bent map is interpolated [pixels]."""

_OTHER_PLANE_PX = 2.0
"""What is further from a plane than this may lie on another one."""

_MIN_GAIN = 0.005
"""A further plane must raise the mean correlation by so much."""

_CHOICE_SIGMAS = (2.0, 8.0)
"""The choice of a plane looks around so far: near, and where that says nothing, far [nodes]."""

_FAR_SHARE = 0.05

_BLEND_SIGMA = 1.5
"""Planes go over into each other within about twice as many nodes."""


def add_planes(
    overlay: Overlay, first: SmoothMap, matches: Matches, most: int
) -> tuple[SmoothMap, int]:
    """Look for further planes, one after the other, among what does not follow those found.

    Args:
        overlay: The reference over the frame.
        first: A map of one plane.
        matches: Between the frame and the overlay's reference.
        most: How many planes there may be.

    Returns:
        The map, bent where there are several planes, and their number.
    """
    planes, combined, fit = [first], first, overlay.correlate(first).mean
    rest = matches.joined(overlay.track(first))
    while len(planes) < most:
        rest = rest[rest.errors(planes[-1].plane) > _OTHER_PLANE_PX]
        found = find_inliers(rest.frame, rest.reference, MATCH_ERROR_PX)
        if found is None:
            break
        if not is_plausible(found.plane, first.frame_size, first.reference_size):
            break
        further = with_plane(first, found.plane)
        further = overlay.refine(further, _where_better(overlay, further, combined))
        bent = _combine(overlay, [*planes, further])
        bent_fit = overlay.correlate(bent).mean
        if bent_fit < fit + _MIN_GAIN:
            break
        planes.append(further)
        combined, fit = bent, bent_fit
    return combined, len(planes)


def _combine(overlay: Overlay, planes: Sequence[SmoothMap]) -> SmoothMap:
    """Each place takes the plane that fits best around it, with smooth transitions."""
    first = planes[0]
    height, width = first.frame_size
    rows, columns = _grid_of(first)
    choice = np.argmax([_fit_around(overlay, plane) for plane in planes], axis=0)
    nodes = (pixel_grid((rows, columns)) + 0.5) * (width / columns, height / rows) - 0.5
    nodes = nodes.astype(np.float32)
    base = first.locate(nodes)
    bend = np.zeros_like(base)
    for number, plane in enumerate(planes[1:], start=1):
        share = _blur((choice == number).astype(np.float32), _BLEND_SIGMA)
        bend += share[..., None] * (plane.locate(nodes) - base)
    return replace(first, bend=bend)


def _where_better(overlay: Overlay, candidate: SmoothMap, than: SmoothMap) -> NDArray[np.bool_]:
    """Where a map fits better than another: (H, W)."""
    better = _fit_around(overlay, candidate) > _fit_around(overlay, than)
    height, width = candidate.frame_size
    nearest = cv2.resize(better.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(nearest, np.uint8).view(np.bool_)


def _fit_around(overlay: Overlay, found: SmoothMap) -> NDArray[np.float32]:
    """Mean correlation around each node (rows, columns)."""
    rows, columns = _grid_of(found)
    local = overlay.correlate(found, step=_NODE_PX)
    values, known = (
        np.asarray(cv2.resize(part.astype(np.float32), (columns, rows)), np.float32)
        for part in (local.values, local.textured)
    )
    near, far = _CHOICE_SIGMAS
    fit = _blur(values, near) + _FAR_SHARE * _blur(values, far)
    weight = _blur(known, near) + _FAR_SHARE * _blur(known, far)
    return np.asarray(fit / (weight + 1e-6), np.float32)


def _grid_of(found: SmoothMap) -> tuple[int, int]:
    """Rows and columns of nodes."""
    height, width = found.frame_size
    return max(1, round(height / _NODE_PX)), max(1, round(width / _NODE_PX))


def _blur(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)
