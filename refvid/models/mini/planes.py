"""Plane-to-plane maps (homographies) from a frame to a reference: finding and judging them.

Coordinates are x, y in pixels with whole numbers at pixel centres; a *plane* is a (3, 3) matrix
that maps places of the frame to places of the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]
Points = NDArray[np.float32]
"""(N, 2) x, y."""

Size = tuple[int, int]
"""Height and width [pixels]."""

MATCH_ERROR_PX = 3.0
"""A match that a plane misses by no more follows it."""

_MIN_INLIERS = 16
"""Unrelated pictures bring up to about 10 by chance."""

_MIN_CELLS = 5
"""Inliers fill at least so many of the cells that share the shown part of the frame."""

_CELLS = 8
"""Cells per side, over the box around the shown part."""

_CONTENT_SCALES = (0.2, 5.0)
"""How large the frame's content may appear in the reference, both taken to be equally large."""

_MAX_STRETCH = 3.0
"""Ratio of the largest to the smallest magnification at one place."""

_MAX_AREA_RATIO = 8.0
"""Ratio of the largest to the smallest magnification of area over the frame: perspective."""

_MIN_SHOWN = 0.02
"""Share of the frame that the reference has to show."""

_SHARED_ERRORS = 4
"""Tracked places per independent one."""

_PROBES = 24
"""Places per side at which a map is judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPlane:
    """A map and the matches that follow it."""

    plane: Plane
    inliers: NDArray[np.bool_]
    """(N,) which of the given matches."""


def find_inliers(
    frame_points: Points, reference_points: Points, error_px: float
) -> FoundPlane | None:
    """Fit a map robustly (MAGSAC++, Baráth et al., 2020) to matches, most of which may be wrong.

    Args:
        frame_points: (N, 2) places in the frame.
        reference_points: (N, 2) places in the reference.
        error_px: What counts as following the map, measured in the frame.
    """
    if len(frame_points) < _MIN_INLIERS:
        return None
    # Towards the frame, so that errors are measured there, whatever the reference's resolution.
    back, mask = cv2.findHomography(
        reference_points,
        frame_points,
        cv2.USAC_MAGSAC,
        error_px,
        maxIters=5000,
        confidence=0.9995,
    )
    if back is None or not np.isfinite(back).all() or abs(np.linalg.det(back)) < 1e-12:
        return None
    plane = np.linalg.inv(back)
    inliers = np.asarray(mask).ravel().astype(bool)
    if inliers.sum() < _MIN_INLIERS:
        return None
    return FoundPlane(plane=plane / plane[2, 2], inliers=inliers)


def simplest_plane(
    plane: Plane, matches: tuple[Points, Points], frame_size: Size, reference_size: Size
) -> Plane:
    """The map with the fewest degrees of freedom that explains matches as well as `plane`.

    Cropped, zoomed and turned pictures need four of a homography's eight, whole frames none; what
    is not needed follows the noise of the matches, most of all where there are none.

    Args:
        plane: What they follow.
        matches: Places (N, 2) in the frame and in the reference, without outliers.
        frame_size: Of the frame.
        reference_size: Of the reference.
    """
    source, target = matches
    full = _squared_error(plane, source, target)
    # Neighbouring matches share their pixels, and so their errors.
    independent = 2 * len(source) / _SHARED_ERRORS
    candidates = (
        (resizing(frame_size, reference_size), 8),
        (_fit_linear(source, target, similar=True), 4),
        (_fit_linear(source, target, similar=False), 2),
    )
    for candidate, saved in candidates:
        # Bayesian information criterion.
        worth = saved * np.log(max(independent, 2)) / max(independent, 2)
        if _squared_error(candidate, source, target) <= full * np.exp(worth):
            return candidate
    return plane


def is_plausible(plane: Plane, frame_size: Size, reference_size: Size) -> bool:
    """Whether a camera could have seen it so: not mirrored, not folded, of a sensible size."""
    probes = probe_points(frame_size, _PROBES)
    shown = is_inside(map_points(plane, probes), reference_size)
    depth = probes @ plane[2, :2] + plane[2, 2]
    if (depth[shown] < 1e-6).any():  # seen through the back of the camera
        return False
    if shown.mean() < _MIN_SHOWN:
        return False
    stretches = np.linalg.svd(_derivatives(plane, probes[shown]), compute_uv=False)
    areas = np.linalg.det(_derivatives(plane, probes[shown]))
    if areas.min() <= 0 or areas.max() > _MAX_AREA_RATIO * areas.min():
        return False
    if (stretches[:, 0] > _MAX_STRETCH * stretches[:, 1]).any():
        return False
    content = np.sqrt(np.median(areas) * np.prod(frame_size) / np.prod(reference_size))
    return bool(_CONTENT_SCALES[0] <= content <= _CONTENT_SCALES[1])


def is_spread(points: Points, plane: Plane, frame_size: Size, reference_size: Size) -> bool:
    """Whether matched places (N, 2) of the frame fill what the reference shows of it.

    A channel's logo in both pictures matches perfectly, in one spot.
    """
    probes = probe_points(frame_size, _PROBES)
    shown = probes[is_inside(map_points(plane, probes), reference_size)]
    if not len(shown):
        return False
    low, high = shown.min(0), shown.max(0)
    cells = ((points - low) / np.maximum(high - low, 1) * _CELLS).astype(int).clip(0, _CELLS - 1)
    filled = np.unique(cells[:, 1] * _CELLS + cells[:, 0])
    columns, rows = len(np.unique(cells[:, 0])), len(np.unique(cells[:, 1]))
    return len(filled) >= _MIN_CELLS and columns >= 2 and rows >= 2


def scale_of(plane: Plane, frame_size: Size, reference_size: Size) -> float:
    """Reference pixels per frame pixel along a line, the median over what is shown."""
    probes = probe_points(frame_size, _PROBES)
    shown = is_inside(map_points(plane, probes), reference_size)
    areas = np.abs(np.linalg.det(_derivatives(plane, probes[shown] if shown.any() else probes)))
    return float(np.sqrt(np.median(areas)))


def map_points(plane: Plane, points: Points) -> Points:
    """Where places (N, 2) of the frame lie in the reference: (N, 2)."""
    if not len(points):
        return points
    return np.asarray(cv2.perspectiveTransform(points[None], plane)[0], np.float32)


def is_inside(places: NDArray[np.float32], size: Size) -> NDArray[np.bool_]:
    """Which places (..., 2) lie on a picture's pixels."""
    height, width = size
    inside = (places > -0.5 - 1e-3) & (places < np.array([width - 0.5, height - 0.5]) + 1e-3)
    return np.asarray(inside.all(-1))


def resizing(before: Size, after: Size) -> Plane:
    """The map of places when a picture is resized; corners of pixels stay corners."""
    factors = np.array([after[1] / before[1], after[0] / before[0]])
    matrix = np.diag([*factors, 1.0])
    matrix[:2, 2] = (factors - 1) / 2
    return matrix


def probe_points(size: Size, count: int) -> Points:
    """`count` by `count` places that cover a picture evenly, from border to border: (N, 2)."""
    rows, columns = (np.linspace(0, side - 1, count, dtype=np.float32) for side in size)
    return np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2)


def _squared_error(plane: Plane, source: Points, target: Points) -> float:
    return float(((map_points(plane, source) - target) ** 2).mean()) + 1e-6


def _fit_linear(source: Points, target: Points, *, similar: bool) -> Plane:
    """Least squares: turn, zoom and shift (`similar`), or any affine map."""
    x, y = source.astype(np.float64).T
    ones, zeros = np.ones_like(x), np.zeros_like(x)
    if similar:
        across, down = [x, -y, ones, zeros], [y, x, zeros, ones]
    else:
        across, down = [x, y, ones, zeros, zeros, zeros], [zeros, zeros, zeros, x, y, ones]
    terms = np.concatenate((np.column_stack(across), np.column_stack(down)))
    found = np.linalg.lstsq(terms, target.astype(np.float64).T.ravel(), rcond=None)[0]
    if similar:
        turn, tilt, right, low = found
        rows = [[turn, -tilt, right], [tilt, turn, low]]
    else:
        rows = [list(found[:3]), list(found[3:])]
    return np.array([*rows, [0, 0, 1]])


def _derivatives(plane: Plane, points: Points) -> NDArray[np.float64]:
    """(N, 2, 2): how places in the reference change with those in the frame."""
    depth = points @ plane[2, :2] + plane[2, 2]
    places = map_points(plane, points).astype(np.float64)
    numerator = plane[None, :2, :2] - places[:, :, None] * plane[None, None, 2, :2]
    return np.asarray(numerator / depth[:, None, None])
