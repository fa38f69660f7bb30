"""Another recording and a mask that are in memory, frame by frame beside frames in memory."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.errors import OptionError
from refvid.rebuild.pixels import Pixels
from refvid.rebuild.reference_video import OriginalFrame


class OriginalInMemory:
    """`FramesInStep` of an array (T, h, w, 3), whose times are its frames' numbers."""

    name = "the reference video"

    def __init__(self, frames: Pixels) -> None:
        self._frames = frames

    def go_to(self, times: Sequence[Fraction]) -> None:
        """All of it is there."""

    def at(self, time: Fraction) -> OriginalFrame | None:
        index = int(time)
        if not self.covers(time):
            return None
        return OriginalFrame(index, time, self._frames[index])

    def around(self, time: Fraction) -> list[OriginalFrame]:
        near = (self.at(one) for one in (time, time + 1))
        return [frame for frame in near if frame is not None and self.covers(time)]

    def covers(self, time: Fraction) -> bool:
        return time < len(self._frames)

    def close(self) -> None:
        """Nothing is open."""


class MaskInMemory:
    """`MasksInStep` of an array (H, W), or (T, H, W) with a mask for each frame.

    Args:
        mask: Of booleans, or 0 where nothing is edited and the largest value (1 of floats) where
            all is.
        shape: Of the video's frames: (T, H, W).
        size: Width and height of the masks that are given [pixels].

    Raises:
        OptionError: The mask has another shape than the frames.
    """

    def __init__(
        self, mask: NDArray[Any], shape: tuple[int, int, int], size: tuple[int, int]
    ) -> None:
        if mask.shape not in (shape, shape[1:]):
            raise OptionError(
                f"A mask is {shape[1:]}, or {shape} with one for each frame, not {mask.shape}."
            )
        self._masks, self._size = mask, size

    def go_to(self, times: Sequence[Fraction]) -> None:
        """All of it is there."""

    def at(self, time: Fraction) -> NDArray[np.float32]:
        mask = self._masks if self._masks.ndim == 2 else self._masks[int(time)]
        is_whole = np.issubdtype(mask.dtype, np.integer)
        weights = mask.astype(np.float32) / (np.iinfo(mask.dtype).max if is_whole else 1)
        if weights.shape[::-1] != self._size:
            weights = cv2.resize(weights, self._size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(np.clip(weights, 0, 1), np.float32)

    def close(self) -> None:
        """Nothing is open."""
