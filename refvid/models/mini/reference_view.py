"""The reference as the video's camera would have seen it: one resampling, the video's colours."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.models.bars import Content
from refvid.models.mini.color_map import ColorMap, apply_colors
from refvid.models.mini.registration import Registration
from refvid.models.mini.resampling import Picture, Places, limit_detail, sample
from refvid.models.mini.smooth_map import SmoothMap, pixel_grid

Flow = NDArray[np.float32]
"""(H, W, 2) x, y: from each pixel to its place in the frame that was registered [pixels]."""


_END = 3
"""Levels so near to black or white are taken for clipped: compression moves them."""

_ROUNDING = 0.5
"""A shrunken picture's sides are whole numbers of pixels [pixels]."""

_LOST = 10.0
"""Levels that the video has beyond what the reference's camera could hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the reference shows of a frame."""

    picture: Picture
    """(H, W, 3) RGB; outside of `shown` the reference's border goes on."""

    shown: NDArray[np.bool_]
    """(H, W) whether the reference shows that place, and not as white or black that its camera
    clipped and the video's did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedReference:
    """A registered reference without detail that the frame cannot hold; made once per shot."""

    picture: Picture
    map: SmoothMap
    """From places of the frame to places of `picture`."""

    colors: ColorMap
    clipped: NDArray[np.uint8] | None
    """255 where the reference's camera lost what the video's did not; None: nowhere."""

    bare: NDArray[np.bool_]
    """(H, W) what no bars cover in the frame."""

    reference_content: Content
    """What is not bars in `picture`."""

    grid: Places
    """Every pixel's own place."""

    located: Places
    """Where `picture` shows every pixel of the frame that was registered."""


def prepare_reference(reference: Picture, registration: Registration) -> PreparedReference:
    """Filter a reference, if it holds more than the frame can.

    Raises:
        ValueError: The reference is not as large as the one that was registered.
    """
    if reference.shape[:2] != registration.map.reference_size:
        raise ValueError(f"another reference was registered: {registration.map.reference_size}")
    picture = limit_detail(reference, registration.scale)
    moved = registration.map
    if picture.shape != reference.shape:
        moved = moved.resized(moved.frame_size, (picture.shape[0], picture.shape[1]))
    grid = pixel_grid(moved.frame_size)
    return PreparedReference(
        picture=picture,
        map=moved,
        colors=registration.colors,
        clipped=_find_clipped(picture, registration.colors),
        bare=registration.frame_content.mask(moved.frame_size),
        reference_content=_scale_content(
            registration.reference_content, picture.shape[0] / reference.shape[0]
        ),
        grid=grid,
        located=moved.locate(grid),
    )


def view(
    prepared: PreparedReference, flow: Flow | None = None, colors: ColorMap | None = None
) -> View:
    """Lay the reference over a frame.

    Args:
        prepared: See `prepare_reference`.
        flow: For another frame of the shot: where each of its pixels is in the registered frame,
            as a difference. The reference is still sampled once.
        colors: Other colours than the registered ones, for a shot whose exposure changes.

    Raises:
        ValueError: The flow's size is not that of the frame.
    """
    located = prepared.located
    if flow is not None:
        if flow.shape != prepared.grid.shape:
            raise ValueError(f"flow {flow.shape} for a frame of {prepared.map.frame_size}")
        located = prepared.map.locate(prepared.grid + flow)
    if flow is None and prepared.map.is_identity:
        picture = prepared.picture
    else:
        picture = sample(prepared.picture, located, cv2.INTER_CUBIC)
    picture = apply_colors(picture, prepared.colors if colors is None else colors)
    shown = prepared.map.shows(located, prepared.reference_content) & prepared.bare
    if prepared.clipped is not None:
        shown &= sample(prepared.clipped, located, cv2.INTER_LINEAR) < 64
    return View(picture=picture, shown=shown)


def _find_clipped(picture: Picture, colors: ColorMap) -> NDArray[np.uint8] | None:
    """Where a channel ended in one camera, but goes on in the other."""
    clipped = np.zeros(picture.shape[:2], np.bool_)
    white, black = colors[:, :3].sum(1) * 255 + colors[:, 3], colors[:, 3]
    for channel in range(3):
        if white[channel] < 255 - _LOST:
            clipped |= picture[..., channel] >= 255 - _END
        if black[channel] > _LOST:
            clipped |= picture[..., channel] <= _END
    return clipped.astype(np.uint8) * 255 if clipped.any() else None


def _scale_content(content: Content, factor: float) -> Content:
    """The same part of a picture of another size; pixels that a bar partly covers are left out."""
    return Content(
        top=ceil(content.top * factor - _ROUNDING),
        bottom=floor(content.bottom * factor + _ROUNDING),
        left=ceil(content.left * factor - _ROUNDING),
        right=floor(content.right * factor + _ROUNDING),
    )
