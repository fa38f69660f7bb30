"""From a rough map to one that is exact to a fraction of a pixel, of one plane or several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.models.mini.alignment import gray
from refvid.models.mini.color_map import ColorMap, apply_colors, fit_colors
from refvid.models.mini.local_correlation import BLOCK, LocalCorrelation, correlate_blocks, soften
from refvid.models.mini.planes import (
    MATCH_ERROR_PX,
    Plane,
    Points,
    find_inliers,
    is_plausible,
    map_points,
    simplest_plane,
)
from refvid.models.mini.resampling import Picture, sample
from refvid.models.mini.smooth_map import SmoothMap, pixel_grid

_MAX_TRACKS = 1200
_CORNER = 0.003
"""Of the strongest corner; weaker ones are not tracked."""

_CORNERS_APART_PX = 8
_TRACK_WINDOW_PX = 31
_TRACK_LEVELS = 2

_ROUND_TRIP_PX = 0.5
"""Tracking there and back must end where it began."""

_TRACK_ERROR_PX = 1.0
_MIN_TRACKS = 16
_REFINEMENTS = 3
_SETTLED_PX = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Places that look alike, most of them rightly."""

    frame: Points
    """(N, 2) x, y in the frame [pixels]."""

    reference: Points
    """(N, 2) x, y in the reference [pixels]."""

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Matches:
        return Matches(frame=self.frame[chosen], reference=self.reference[chosen])

    def moved(self, plane: Plane) -> Matches:
        """The same in a reference whose places are mapped by `plane`."""
        return Matches(frame=self.frame, reference=map_points(plane, self.reference))

    def joined(self, other: Matches) -> Matches:
        """Both together."""
        return Matches(
            frame=np.concatenate((self.frame, other.frame)),
            reference=np.concatenate((self.reference, other.reference)),
        )

    def errors(self, plane: Plane) -> NDArray[np.float32]:
        """How far each match is from following a plane [pixels of the frame]: (N,)."""
        back = map_points(np.asarray(np.linalg.inv(plane), np.float64), self.reference)
        return np.asarray(np.linalg.norm(back - self.frame, axis=1), np.float32)


class Overlay:
    """A reference of about the frame's resolution, laid over the frame in the frame's colours."""

    def __init__(self, reference: Picture, frame: Picture, rough: SmoothMap) -> None:
        self.frame = frame
        self.reference = reference
        self._grid = pixel_grid((frame.shape[0], frame.shape[1]))
        self._frame_gray = gray(frame)
        self._frame_soft = soften(self._frame_gray)
        self._reference_gray = gray(apply_colors(reference, self.fit_colors(rough)))
        corners = cv2.goodFeaturesToTrack(self._frame_soft, _MAX_TRACKS, _CORNER, _CORNERS_APART_PX)
        # Without any corner OpenCV gives None.
        self._corners = np.reshape(
            np.asarray([] if corners is None else corners, np.float32), (-1, 2)
        )

    def fit_colors(self, found: SmoothMap) -> ColorMap:
        """Colours of the reference as given -> those of the frame."""
        located = found.locate(self._grid)
        view = sample(self.reference, located, cv2.INTER_LINEAR)
        return fit_colors(view, self.frame, found.shows(located))

    def correlate(self, found: SmoothMap, step: int = BLOCK) -> LocalCorrelation:
        """How well the reference fits when laid over by a map, see `local_correlation`."""
        view, shown = self._lay(found)
        return correlate_blocks(soften(view), self._frame_soft, shown, step=step)

    def refine(self, rough: SmoothMap, where: NDArray[np.bool_] | None = None) -> SmoothMap:
        """Track what the reference shows, and fit the plane again; repeat until it rests.

        Args:
            rough: A map of one plane.
            where: (H, W) the part of the frame that the plane is for; None: all.
        """
        best, fit = rough, self._score(rough, where)
        for _ in range(_REFINEMENTS):
            tracks = self.track(best)
            if where is not None:
                columns, rows = tracks.frame.round().astype(int).T
                tracks = tracks[where[rows, columns] & (tracks.errors(best.plane) < MATCH_ERROR_PX)]
            found = find_inliers(tracks.frame, tracks.reference, _TRACK_ERROR_PX)
            if found is None:
                break
            if not is_plausible(found.plane, best.frame_size, best.reference_size):
                break
            better = with_plane(best, found.plane)
            score = self._score(better, where)
            if score < fit:
                break
            probes = self._grid[::32, ::32]
            moved = np.abs(better.locate(probes) - best.locate(probes)).max()
            best, fit = better, score
            if moved < _SETTLED_PX:
                break
        return best if where is not None else self._simplify(best)

    def track(self, found: SmoothMap) -> Matches:
        """Where corners of the frame lie in the reference, searched around where the map says.

        Pyramidal Lucas-Kanade, there and back.
        """
        if not len(self._corners):
            return Matches(frame=self._corners, reference=self._corners)
        view, shown = self._lay(found)
        # Blurred, since compression and scaling have taken the frame's finest detail.
        pair = [np.asarray(cv2.GaussianBlur(p, (0, 0), 1.0)) for p in (view, self._frame_gray)]
        end, kept = _follow(pair[1], pair[0], self._corners)
        back, kept_back = _follow(pair[0], pair[1], end)
        error = np.linalg.norm(back - self._corners, axis=1)
        height, width = shown.shape
        columns, rows = end.round().astype(int).clip(0, (width - 1, height - 1)).T
        good = kept & kept_back & (error < _ROUND_TRIP_PX) & shown[rows, columns]
        return Matches(frame=self._corners[good], reference=found.locate(end[good][None])[0])

    def _simplify(self, found: SmoothMap) -> SmoothMap:
        """The same map without the degrees of freedom that the pictures do not ask for."""
        tracks = self.track(found)
        tracks = tracks[tracks.errors(found.plane) < _TRACK_ERROR_PX]
        if len(tracks.frame) < _MIN_TRACKS:
            return found
        sizes = found.frame_size, found.reference_size
        plane = simplest_plane(found.plane, (tracks.frame, tracks.reference), *sizes)
        return with_plane(found, plane)

    def _score(self, found: SmoothMap, where: NDArray[np.bool_] | None) -> float:
        local = self.correlate(found)
        if where is None:
            return local.mean
        part = np.asarray(where[8::16, 8::16])[: local.values.shape[0], : local.values.shape[1]]
        chosen = part & local.textured
        return float(local.values[chosen].mean()) if chosen.any() else 0.0

    def _lay(self, found: SmoothMap) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        located = found.locate(self._grid)
        return sample(self._reference_gray, located, cv2.INTER_LINEAR), found.shows(located)


def _follow(
    start: NDArray[Any], end: NDArray[Any], points: Points
) -> tuple[Points, NDArray[np.bool_]]:
    """Points (N, 2) of one picture found in another, and whether they were."""
    found, kept, _ = cv2.calcOpticalFlowPyrLK(
        start,
        end,
        points[:, None],
        np.empty(0, np.float32),  # no guess
        winSize=(_TRACK_WINDOW_PX, _TRACK_WINDOW_PX),
        maxLevel=_TRACK_LEVELS,
    )
    return np.asarray(found, np.float32)[:, 0], np.asarray(kept)[:, 0] > 0


def with_plane(found: SmoothMap, plane: Plane) -> SmoothMap:
    """A map of one plane between the same pictures."""
    return SmoothMap(frame_size=found.frame_size, reference_size=found.reference_size, plane=plane)
