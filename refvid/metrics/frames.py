"""Two videos, frame by frame side by side: decoded in threads, aligned by their timestamps."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from refvid.errors import InputError
from refvid.media.aligned import AlignedReader, Mismatch
from refvid.media.file_kind import is_picture
from refvid.media.mask import mask_weights, read_mask
from refvid.media.pixel_conversion import Pixels, Planes, interleaved, to_uint16
from refvid.media.reader import open_video
from refvid.media.video_info import VideoInfo
from refvid.metrics.catalog import MEASURES
from refvid.metrics.options import MetricsOptions

_NOTHING: Mapping[Path, VideoInfo] = MappingProxyType({})


@dataclass(frozen=True)
class FramePair:
    """A frame and what it should be, of one size and type."""

    index: int
    time: Fraction
    """From the first frame on [s]."""

    shown: tuple[Pixels | Planes, Pixels | Planes]
    """The frame, and what it should be."""

    mask: NDArray[np.float32] | None
    """(H, W) weights in [0, 1]."""

    @cached_property
    def distorted(self) -> Pixels:
        return interleaved(self.shown[0])

    @cached_property
    def clean(self) -> Pixels:
        return interleaved(self.shown[1])


class AlignedVideos(AlignedReader):
    """A video and its clean counterpart; give the pairs by iterating, once.

    Args:
        distorted: Video to be measured.
        clean: What it should be.
        mask: An image, or a video with a frame for each of `clean`.
        frames: At most so many frames; None is all.
        skip: Frames to leave out at the beginning of the two; of the mask as of the clean one.
        known: Facts of the files that were opened before.

    Entering it raises:
        InputError: One cannot be read, or their sizes differ.
    """

    def __init__(
        self,
        distorted: Path,
        clean: Path,
        mask: Path | None = None,
        frames: int | None = None,
        skip: tuple[int, int] = (0, 0),
        known: Mapping[Path, VideoInfo] = _NOTHING,
    ) -> None:
        super().__init__(leader=1)
        self._paths = (distorted, clean)
        self._mask = mask
        self._frames = frames
        self._skip = skip
        self._known = known
        self._image_mask: NDArray[np.float32] | None = None

    def _open(self) -> None:
        distorted, clean = (
            self._enter_video(path, start)
            for path, start in zip(self._paths, self._skip, strict=True)
        )
        _check_size(self._paths[0], distorted.size, clean)
        if self._mask is not None and is_picture(self._mask):
            self._image_mask = read_mask(self._mask)
            _check_size(self._mask, self._image_mask.shape[::-1], clean)
        elif self._mask is not None:
            mask = self._enter_video(self._mask, self._skip[1])
            _check_size(self._mask, mask.size, clean)

    def _enter_video(self, path: Path, start: int) -> VideoInfo:
        known = self._known.get(path)
        video = open_video(path, start=start, frames=self._frames, info=known, planes=True, among=2)
        return self._enter(video).info

    @property
    def distorted(self) -> VideoInfo:
        return self.infos[0]

    @property
    def clean(self) -> VideoInfo:
        return self.infos[1]

    @property
    def is_by_time(self) -> bool:
        """False where an image sequence takes part: it has no times of its own, only an order."""
        return self._is_timed(self.distorted)

    def __iter__(self) -> Generator[FramePair, None, None]:
        for index, (frames, time) in enumerate(self.together()):
            shown = frames[0].shown, frames[1].shown
            if shown[0].dtype != shown[1].dtype:
                shown = to_uint16(frames[0].pixels), to_uint16(frames[1].pixels)
            mask = self._image_mask
            if len(frames) > 2 and self._mask is not None:
                mask = mask_weights(frames[2].pixels, self._mask)
            yield FramePair(index, time, shown, mask)

    def _words(self, mismatch: Mismatch) -> str:
        index, both = mismatch.index, f"{mismatch.video.path} and {mismatch.other.path}"
        if mismatch.times is None:
            return (
                f"{both} cannot be aligned: the first has {index} "
                f"frames, the second goes on with frame {index}. Measure the part that both "
                f"have with --frames {index}, or cut them alike."
            )
        first, second = mismatch.times
        return (
            f"{both} cannot be aligned: frame {index} is "
            f"shown at {float(first):.3f} s in the first and at {float(second):.3f} s "
            "in the second. Frames were lost, or the rates differ."
        )


def align(
    distorted: Path, options: MetricsOptions, known: Mapping[Path, VideoInfo]
) -> AlignedVideos:
    """One of the videos beside the clean one, as the options say."""
    return AlignedVideos(
        distorted, options.reference, options.mask, options.frames, options.skip, known
    )


def check_inputs(options: MetricsOptions) -> dict[Path, VideoInfo]:
    """Open every input once, so that what cannot work fails before hours of work.

    Returns:
        The facts of each video.

    Raises:
        InputError: A file cannot be read, or its size does not fit the reference or a measure.
    """
    known: dict[Path, VideoInfo] = {}
    for path in options.distorted:
        with align(path, options, known) as videos:
            known |= {info.path: info for info in videos.infos}
    fitting_measures(options, known[options.reference])
    return known


def fitting_measures(options: MetricsOptions, clean: VideoInfo) -> tuple[str, ...]:
    """The measures that are asked for, without those that are not to be had of small frames.

    Raises:
        InputError: One of these was asked for by its name.
    """
    width, height = clean.size
    for name in options.measures:
        needed = MEASURES[name].smallest_side
        if min(width, height) < needed and not options.only_available:
            raise InputError(
                f"{clean.path} is {width}x{height}, too small for {MEASURES[name].label}, which "
                f"needs {needed} pixels a side. Leave it out of the measures."
            )
    return tuple(
        name for name in options.measures if min(width, height) >= MEASURES[name].smallest_side
    )


def _check_size(path: Path, size: tuple[int, ...], clean: VideoInfo) -> None:
    if size != clean.size:
        raise InputError(
            f"{path} is {size[0]}x{size[1]}, but {clean.path} is {clean.width}x{clean.height}. "
            "Bring them to one size first: how they are scaled decides what is measured."
        )
