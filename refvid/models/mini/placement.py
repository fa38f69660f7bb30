"""A reference brought to a few frames of a shot: registered, or else laid over them as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.models.backbone import Reference
from refvid.models.mini.alignment import (
    Flow,
    FramePlaced,
    Picture,
    Placed,
    align,
    find_coarse,
    gray,
)
from refvid.models.mini.reference_view import PreparedReference, prepare_reference, view
from refvid.models.mini.registration import Registration, register_best

_UNLIKE = 0.5
"""Mean correlation below which a reference that could not be registered is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotReference:
    """One reference on one shot."""

    placed: Placed | None
    """None: nothing of it was found."""

    is_registered: bool = False
    is_at_home: bool = False
    """Whether it was placed on the very frame that it belongs to."""

    was_tried: bool = False
    """Whether anybody has tried to place it."""

    correlation: float = 0.0
    """With the frames of the last chunk."""

    found: float = 0.0
    """Share of the last chunk's texture that was found in it."""

    coarse: Flow | None = None
    """Where the last frame was found, see `find_coarse`."""

    waits: int = 0
    """Chunks until registration is tried again."""

    patience: int = 1
    """Chunks that will be waited after that."""


def place_reference(given: Reference, pictures: Sequence[Picture]) -> ShotReference:
    """Bring one reference to a few frames (H, W, 3) of a shot.

    Registration comes first. Without it the picture is laid over the frames as a whole, in the way
    that correlates best, and given up if that is hardly at all.
    """
    picture = given.read()
    frame = pictures[0]
    if given.is_placed:
        return _tried(FramePlaced(picture), frame, is_registered=False)
    best = register_best(picture, pictures)
    if best is not None:
        placed = RegisteredReference(picture, best.registration)
        return _tried(placed, pictures[best.index], is_registered=True)
    size = (frame.shape[1], frame.shape[0])
    laid = [lay_over(picture, size, inside=inside) for inside in (False, True)]
    fitted = [_tried(one, frame, is_registered=False) for one in laid]
    likest = max(fitted, key=lambda one: one.correlation)
    return likest if likest.correlation >= _UNLIKE else replace(likest, placed=None)


class RegisteredReference:
    """`Placed` by a registration."""

    def __init__(self, picture: Picture, registration: Registration) -> None:
        """Take a picture (h, w, 3), and where the shot's frames are in it."""
        self.registration = registration
        self._prepared: PreparedReference = prepare_reference(picture, registration)
        self.shades = gray(view(self._prepared).picture)

    def sample(self, flow: Flow) -> tuple[Picture, Picture]:
        seen = view(self._prepared, flow)
        return seen.picture, seen.shown.astype(np.uint8)


def _tried(placed: Placed, frame: Picture, *, is_registered: bool) -> ShotReference:
    """A placed reference, with its likeness to a frame (H, W, 3)."""
    shades = gray(frame)
    likeness = align(shades, placed, find_coarse(shades, placed.shades)).likeness
    return ShotReference(
        was_tried=True,
        placed=placed,
        is_registered=is_registered,
        correlation=likeness.correlation,
        found=likeness.found,
    )


def lay_over(picture: Picture, size: tuple[int, int], *, inside: bool) -> FramePlaced:
    """Scale a picture (h, w, 3) to cover a frame, or to lie inside it.

    Args:
        picture: The reference.
        size: Width and height of the frame [pixels].
        inside: Whether all of it is seen, with places it does not show; else it is cut.
    """
    height, width = picture.shape[:2]
    ratios = (size[0] / width, size[1] / height)
    scale = min(ratios) if inside else max(ratios)
    matrix = np.array(
        [
            [scale, 0, (size[0] - 1) / 2 - scale * (width - 1) / 2],
            [0, scale, (size[1] - 1) / 2 - scale * (height - 1) / 2],
        ]
    )
    if scale < 1:  # what is shrunk is averaged
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        shrunk = np.asarray(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), np.uint8)
        if small != (width, height):
            return lay_over(shrunk, size, inside=inside)
    return _warped(picture, matrix, size, inside=inside)


def _warped(
    picture: Picture, matrix: NDArray[np.float64], size: tuple[int, int], *, inside: bool
) -> FramePlaced:
    pixels = cv2.warpAffine(
        picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    height, width = picture.shape[:2]
    scale, left, top = matrix[0, 0], matrix[0, 2], matrix[1, 2]
    x, y = (np.arange(size[0]) - left) / scale, (np.arange(size[1]) - top) / scale
    columns, rows = np.abs(2 * x + 1 - width) <= width, np.abs(2 * y + 1 - height) <= height
    return FramePlaced(np.asarray(pixels, np.uint8), rows[:, None] & columns, inside=inside)
