"""Where an edited video shows something else than its original: a picture, or a video in step."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from refvid.errors import InputError
from refvid.media.file_kind import is_picture
from refvid.media.mask import exact_weights, mask_weights, read_mask
from refvid.media.video_info import USUAL_RATE, VideoInfo, read_video_info
from refvid.rebuild.reference_video import ReferenceVideo, held_bytes

_SAME_SHAPE = 0.02
"""Proportions that differ by less are the same."""

_WHITE = 0.98
"""Light from which on a place is white."""

_MOSTLY, _MOST_GREY = 0.9, 0.5
"""Light between black and white, and share of a mask that may have such."""

_SAME_LENGTH = 2
"""Frames by which lengths may differ: containers round them."""


class EditMask:
    """Gives the mask of any frame, (H, W) float32 in [0, 1]: 1 where the edit is.

    Args:
        path: A picture, for all frames; or a video, whose frames have the times of the input's.
        info: The video that it belongs to.
        size: Width and height of the masks that are given [pixels].

    Raises:
        InputError: It cannot be read, or has another shape or length than the video.
    """

    def __init__(self, path: Path, info: VideoInfo, size: tuple[int, int]) -> None:
        self._path, self._shape, self._size = path, info.size, size
        self._aspect = info.sample_aspect_ratio
        self._picture: NDArray[np.float32] | None = None
        self._video: ReferenceVideo | None = None
        self.notes: list[str] = []
        """For the user."""

        if is_picture(path):
            weights = read_mask(path)
            self._check_shape(weights.shape[1], weights.shape[0])
            self._picture = self._fit(weights)
            self.notes += _notes_on_light(path, weights)
            return
        found = read_video_info(path, rate=info.frame_rate)
        self._check_shape(*found.size, found.sample_aspect_ratio)
        if found.is_image_sequence and found.has_alpha:
            raise InputError(
                f"The mask {path} is transparent in places, which would be grey in a sequence. "
                "Save such masks without transparency: white where the edit is, else black."
            )
        if found.has_alpha:
            self.notes.append(f"{path.name}: only its light counts as a mask, not its transparency")
        rate = info.frame_rate or USUAL_RATE
        _check_length(found, info, rate)
        self._video = ReferenceVideo(found, size, 1 / rate)

    def close(self) -> None:
        """Stop reading."""
        if self._video is not None:
            self._video.close()

    def go_to(self, times: Sequence[Fraction]) -> None:
        """Read what belongs to frames of some times [s], in order."""
        if self._video is not None:
            self._video.go_to(times)

    def held_bytes(self, frames: int) -> int:
        """What is held for chunks of so many frames [bytes], at most."""
        masks = 4 * self._size[0] * self._size[1] * frames
        return masks + (held_bytes(self._video.info, self._size, frames) if self._video else 0)

    def at(self, time: Fraction) -> NDArray[np.float32]:
        """The mask at a time that was gone to.

        Raises:
            InputError: It has ended before.
        """
        if self._picture is not None:
            return self._picture
        assert self._video is not None, "it is one of the two"
        same = self._video.at(time)
        around = self._video.around(time)
        if same is None and not around:
            raise InputError(
                f"The mask {self._path} ends before {float(time):.3f} s, and the video goes on: "
                "give one of the same length."
            )
        pixels = (same or around[0]).pixels
        read = exact_weights if self._video.info.is_image_sequence else mask_weights
        return self._fit(read(pixels, self._path))

    def _fit(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        if weights.shape[::-1] == self._size:
            return weights
        return np.asarray(
            cv2.resize(weights, self._size, interpolation=cv2.INTER_LINEAR), np.float32
        )

    def _check_shape(self, width: int, height: int, aspect: Fraction = Fraction(1)) -> None:
        wide, tall = self._shape
        # As its pixels lie, or as it is shown: editors save masks of both kinds.
        shown = aspect / self._aspect
        if all(abs(width * tall / (height * wide) * by - 1) > _SAME_SHAPE for by in (1, shown)):
            raise InputError(
                f"The mask {self._path} is {width}x{height}, and the video {wide}x{tall}: give "
                "one of the same shape."
            )


def _notes_on_light(path: Path, weights: NDArray[np.float32]) -> list[str]:
    """Say where a picture makes no difference between places."""
    if weights.max(initial=0) == 0:
        return [f"{path.name} is black everywhere: all of the reference video counts"]
    if weights.min(initial=1) > _WHITE:
        return [f"{path.name} is white everywhere: nothing of the reference video counts"]
    grey = (weights > 1 - _MOSTLY) & (weights < _MOSTLY)
    if grey.mean() > _MOST_GREY:
        return [f"{path.name} is mostly grey, so that both videos are mixed: is it the mask?"]
    return []


def _check_length(mask: VideoInfo, info: VideoInfo, rate: Fraction) -> None:
    if mask.duration is None or info.duration is None:
        return
    if not (mask.frame_count_is_exact and info.frame_count_is_exact):
        return
    if abs(mask.duration - info.duration) > _SAME_LENGTH / rate:
        raise InputError(
            f"The mask {mask.path} is {float(mask.duration):.3f} s long, and {info.path} "
            f"{float(info.duration):.3f} s: give one of the same length."
        )
