"""A smooth map from the places of a frame to those of a reference, exact in little memory."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.models.bars import Content
from refvid.models.dense_flow import pixel_places
from refvid.models.mini.planes import Plane, Size, resizing
from refvid.models.mini.resampling import Places, sample_smooth


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothMap:
    """A plane-to-plane map and what bends it; also defined outside of the frame."""

    frame_size: Size
    """Height and width of the frame [pixels]."""

    reference_size: Size
    """Height and width of the reference [pixels]."""

    plane: Plane
    """(3, 3): x, y in the frame to x, y in the reference."""

    bend: NDArray[np.float32] | None = None
    """(rows, columns, 2) x, y to add to the plane's places [pixels of the reference], at the
    centres of as many cells that divide the frame; None: the plane is all."""

    @property
    def is_identity(self) -> bool:
        """Whether the reference lies on the frame as it is."""
        return self.bend is None and np.array_equal(self.plane, np.eye(3))

    def locate(self, places: Places) -> Places:
        """Places of the frame -> the same in the reference."""
        if self.is_identity or not places.size:  # OpenCV gives nothing at all for no places
            return places
        found = np.asarray(cv2.perspectiveTransform(places, self.plane), np.float32)
        if self.bend is not None:
            found += self._bend_at(places)
        return found

    def _bend_at(self, places: Places) -> NDArray[np.float32]:
        assert self.bend is not None
        rows, columns = self.bend.shape[:2]
        factors = np.array((columns / self.frame_size[1], rows / self.frame_size[0]), np.float32)
        nodes = (places + np.float32(0.5)) * factors - np.float32(0.5)
        # Steps of 1/32 node are too coarse for places, but not for what changes slowly with them.
        return sample_smooth(self.bend, nodes)

    def shows(self, located: Places, content: Content | None = None) -> NDArray[np.bool_]:
        """Which places that `locate` found lie on the reference, or its content: (H, W)."""
        height, width = self.reference_size
        if content is None:
            content = Content(top=0, bottom=height, left=0, right=width)
        # Pixels cover half a pixel around their centres; a little more, since places are rounded.
        low = content.left - 0.501, content.top - 0.501
        high = content.right - 0.499, content.bottom - 0.499
        return np.asarray(cv2.inRange(located, low, high)) > 0

    def resized(self, frame_size: Size, reference_size: Size) -> SmoothMap:
        """The same map between pictures of other sizes."""
        into = resizing(self.reference_size, reference_size)
        plane = into @ self.plane @ resizing(frame_size, self.frame_size)
        bend = self.bend
        if bend is not None:
            bend = np.asarray(bend * into.diagonal()[:2], np.float32)
        return SmoothMap(
            frame_size=frame_size,
            reference_size=reference_size,
            plane=plane / plane[2, 2],
            bend=bend,
        )


def pixel_grid(size: Size) -> Places:
    """Every pixel's own place: (H, W, 2)."""
    return pixel_places(*size)
