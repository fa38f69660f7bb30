"""Find where a reference shows what a frame shows, so that it can be laid over it pixel by pixel.

A photo of the scene differs from the video in everything but the scene: size, crop, zoom, turn,
perspective, exposure, white balance; the video in turn has lost its detail. Four steps:

1. Features of both, matched; a first plane-to-plane map (homography) that most matches follow.
   Where the whole of both correlates as only copies do, that is the map.
2. The reference is laid over the frame by it, recoloured, and tracked to a fraction of a pixel.
3. Matches that follow other maps: further planes of a scene with depth. Every place takes the
   plane that fits it best; between them the map bends smoothly.
4. The laid-over reference must correlate with the frame where there is texture. If it does not,
   there is no registration: an unrelated picture is told from a related one here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.models.bars import Content, find_content
from refvid.models.mini.alignment import gray
from refvid.models.mini.color_map import ColorMap
from refvid.models.mini.features import find_features, match_features
from refvid.models.mini.further_planes import add_planes
from refvid.models.mini.local_correlation import correlate_blocks, soften
from refvid.models.mini.overlay import Matches, Overlay, with_plane
from refvid.models.mini.planes import (
    MATCH_ERROR_PX,
    Size,
    find_inliers,
    is_plausible,
    is_spread,
    resizing,
    scale_of,
)
from refvid.models.mini.resampling import Picture, Places, shrink_by, shrink_to_area
from refvid.models.mini.smooth_map import SmoothMap, pixel_grid

_logger = logging.getLogger(__name__)

_WORKING_AREA = 1 << 20
"""Larger pictures are registered at this size [pixels]."""

_MIN_SIDE_PX = 32

_SHARPER_BLUR_PX = 1.0
"""Of the reference before features are sought: a third more matches with degraded frames."""

_MIN_CORRELATION = 0.5

_MIN_BLOCKS = 8
"""Fewer textured blocks prove nothing."""

_FITS_WELL = 0.75
"""Correlation with which no further frame is tried: each costs as much as the first."""

_SNAP_PX = 0.3
"""Maps that are nearer to the identity than this are the identity."""

_LIKELY_SNAP_PX = 0.6
"""So are those, if they fit no better: video codecs move things by a tenth or two of a pixel."""

_SURELY_WHOLE = 0.93
"""Correlation of whole pictures with which features need not be looked for, which is most of the
work: 0.95 to 0.99 between frames and their own degraded copies on eight of nine clips, at most 0.89
three frames later."""

_MIN_SNAP_GAIN = 0.006
"""What counts as fitting better, in mean correlation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Where the reference shows each pixel of a frame, and in which colours."""

    map: SmoothMap
    """From places of the frame to places of the reference."""

    frame_content: Content
    """What is not black bars in the frame: nothing of the reference belongs there."""

    reference_content: Content
    """What is not black bars in the reference."""

    colors: ColorMap
    """(3, 4): reference's RGB, 0..255, to the frame's."""

    planes: int
    """How many plane-to-plane maps it consists of."""

    scale: float
    """Reference pixels per frame pixel: above 1 the reference holds more than the frame can."""

    correlation: float
    """Mean normalised cross-correlation with the frame, over textured blocks, -1 to 1."""

    @property
    def coordinates(self) -> Places:
        """(H, W, 2) x, y in the reference of every pixel of the frame; computed at each call."""
        return self.map.locate(pixel_grid(self.map.frame_size))

    @property
    def shown(self) -> NDArray[np.bool_]:
        """(H, W) whether the reference shows that place and no bars cover it; computed at each
        call.
        """
        bare = self.frame_content.mask(self.map.frame_size)
        return bare & self.map.shows(self.coordinates, self.reference_content)

    @property
    def coverage(self) -> float:
        """Share of the frame that the reference shows."""
        return float(self.shown.mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class BestRegistration:
    """The one of several frames that a reference fits best."""

    index: int
    """Which of the given frames."""

    registration: Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class _Laid:
    """A reference over a frame, before anybody has looked whether it fits."""

    overlay: Overlay
    map: SmoothMap
    planes: int


def register(reference: Picture, frame: Picture, *, max_planes: int = 3) -> Registration | None:
    """Lay a reference over a frame.

    Args:
        reference: (h, w, 3) RGB: a sharp picture of any size that shows the frame's scene, or part
            of it, or more.
        frame: (H, W, 3) RGB of a degraded video.
        max_planes: How many plane-to-plane maps to look for.

    Returns:
        The map, or None if the pictures do not show the same.

    Raises:
        ValueError: A picture does not have three channels, or `max_planes` is below 1.
    """
    if max_planes < 1:
        raise ValueError(f"at least one plane, not {max_planes}")
    for picture in (reference, frame):
        if picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(f"an RGB picture has shape (H, W, 3), not {picture.shape}")
    sizes = _size(frame), _size(reference)
    if min(*sizes[0], *sizes[1]) < _MIN_SIDE_PX:
        return None
    target = shrink_to_area(frame, _WORKING_AREA)
    laid = _lay_whole(reference, target) or _lay_matched(reference, target, max_planes)
    if laid is None:
        return None
    overlay, found, planes = laid.overlay, laid.map, laid.planes
    fit = overlay.correlate(found)
    if fit.textured.sum() < _MIN_BLOCKS or fit.mean < _MIN_CORRELATION:
        _logger.debug("reference refused: correlation %.2f", fit.mean)
        return None
    colors = overlay.fit_colors(found)
    full = _snap(found.resized(*sizes))
    return Registration(
        map=full,
        frame_content=find_content(gray(frame)),
        reference_content=find_content(gray(reference)),
        colors=colors,
        planes=planes,
        scale=scale_of(full.plane, *sizes),
        correlation=fit.mean,
    )


def register_best(reference: Picture, frames: Sequence[Picture]) -> BestRegistration | None:
    """Try frames of a shot one after the other, until one fits well.

    Returns:
        The first that correlates well, else the one with the highest product of correlation and
        coverage, or None if none fits.
    """
    best, best_worth = None, 0.0
    for index, frame in enumerate(frames):
        found = register(reference, frame)
        if found is None:
            continue
        worth = found.correlation * found.coverage
        if found.correlation >= _FITS_WELL:
            return BestRegistration(index=index, registration=found)
        if worth > best_worth:
            best, best_worth = BestRegistration(index=index, registration=found), worth
    return best


def match_pictures(reference: Picture, frame: Picture) -> Matches:
    """Match features; places are those of the given pictures, however large."""
    small = shrink_to_area(reference, _WORKING_AREA)
    keys = find_features(gray(small), blur_px=_SHARPER_BLUR_PX)
    queries = find_features(gray(frame))
    pairs = match_features(queries, keys)
    found = Matches(frame=queries.points[pairs[:, 0]], reference=keys.points[pairs[:, 1]])
    return found.moved(resizing(_size(small), _size(reference))) if len(pairs) else found


def _lay_whole(reference: Picture, target: Picture) -> _Laid | None:
    """The whole reference over the whole frame, where that fits so well that there is nothing to
    look for.
    """
    size = _size(target)
    shrunk = cv2.resize(gray(reference), size[::-1], interpolation=cv2.INTER_AREA)
    pair = soften(np.asarray(shrunk, np.uint8)), soften(gray(target))
    if correlate_blocks(*pair, np.ones(size, np.bool_)).mean < _SURELY_WHOLE:
        return None
    whole = resizing(size, _size(reference))
    source = shrink_by(reference, scale_of(whole, size, _size(reference)))
    found = SmoothMap(
        frame_size=size, reference_size=_size(source), plane=resizing(size, _size(source))
    )
    overlay = Overlay(source, target, found)
    refined = overlay.refine(found)
    if _prefer_whole(overlay, refined) is refined:
        return None
    return _Laid(overlay=overlay, map=found, planes=1)


def _lay_matched(reference: Picture, target: Picture, max_planes: int) -> _Laid | None:
    """The reference where its features are in the frame."""
    size, whole_size = _size(target), _size(reference)
    matches = match_pictures(reference, target)
    rough = find_inliers(matches.frame, matches.reference, MATCH_ERROR_PX)
    if rough is None or not is_plausible(rough.plane, size, whole_size):
        return None
    if not is_spread(matches.frame[rough.inliers], rough.plane, size, whole_size):
        return None
    # What follows looks at pixels: the reference gets about the frame's resolution.
    source = shrink_by(reference, scale_of(rough.plane, size, whole_size))
    first = SmoothMap(frame_size=size, reference_size=whole_size, plane=rough.plane)
    first = first.resized(size, _size(source))
    overlay = Overlay(source, target, first)
    first = overlay.refine(first)
    matches = matches.moved(resizing(whole_size, _size(source)))
    found, planes = add_planes(overlay, first, matches, max_planes)
    if planes == 1:
        found = _prefer_whole(overlay, found)
    return _Laid(overlay=overlay, map=found, planes=planes)


def _prefer_whole(overlay: Overlay, found: SmoothMap) -> SmoothMap:
    """The map of the whole reference to the whole frame, where the found one is all but it.

    A frame of the recording or its larger original is what most references are.
    """
    whole = with_plane(found, resizing(found.frame_size, found.reference_size))
    if _distance(whole, found) > _LIKELY_SNAP_PX:
        return found
    gain = overlay.correlate(found).mean - overlay.correlate(whole).mean
    return found if gain > _MIN_SNAP_GAIN else whole


def _snap(found: SmoothMap) -> SmoothMap:
    """Exactly the identity where the map is all but it: exact frames are not to be resampled."""
    if found.frame_size != found.reference_size:
        return found
    identity = with_plane(found, np.eye(3))
    return identity if _distance(identity, found) <= _SNAP_PX else found


def _distance(one: SmoothMap, other: SmoothMap) -> float:
    """The largest distance between two maps of a frame [pixels of the reference]."""
    probes = pixel_grid(one.frame_size)[::4, ::4]
    return float(np.linalg.norm(one.locate(probes) - other.locate(probes), axis=-1).max())


def _size(picture: Picture) -> Size:
    return picture.shape[0], picture.shape[1]
