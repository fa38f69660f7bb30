"""Two videos, frame by frame side by side: decoded in threads, aligned by their timestamps."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from refvid.errors import InputError
from refvid.media.image import IMAGE_SUFFIXES, read_image
from refvid.media.pixel_conversion import Pixels, to_uint16
from refvid.media.reader import Frame, VideoReader, open_video
from refvid.media.video_info import VideoInfo
from refvid.quality.catalog import MEASURES
from refvid.workflows.metrics_options import MetricsOptions

_AHEAD = 2
"""Frames that each thread may decode ahead: enough for both to stay busy."""

_POLL_S = 0.1
_LARGEST_SHIFT = Fraction(1, 4)
"""Of a frame's duration: more is no rounding of a timestamp."""

_END: Final = object()


@dataclass(frozen=True, slots=True)
class FramePair:
    """A frame and what it should be, of one size and type."""

    index: int
    time: Fraction
    """From the first frame on [s]."""

    distorted: Pixels
    clean: Pixels
    mask: NDArray[np.float32] | None
    """(H, W) weights in [0, 1]."""


class AlignedVideos:
    """A video and its clean counterpart. Made by `open_aligned`; iterate once."""

    def __init__(
        self,
        videos: list[VideoReader],
        image_mask: NDArray[np.float32] | None,
        threads: ExitStack,
    ) -> None:
        self._videos = videos
        # Not in `__iter__`: an error in the loop's body would leave its threads running.
        self._threads = threads
        self._image_mask = image_mask

    @property
    def distorted(self) -> VideoInfo:
        return self._videos[0].info

    @property
    def clean(self) -> VideoInfo:
        return self._videos[1].info

    @property
    def is_by_time(self) -> bool:
        """False where an image sequence takes part: it has no times of its own, only an order."""
        return not (self.distorted.is_image_sequence or self.clean.is_image_sequence)

    def __iter__(self) -> Generator[FramePair, None, None]:
        """Give the pairs in order.

        Raises:
            InputError: A video is damaged, or frames cannot be aligned; names the first.
        """
        streams = [self._threads.enter_context(_decoding_ahead(video)) for video in self._videos]
        origins: list[Fraction] | None = None
        for index, frames in enumerate(zip_longest(*streams)):
            self._check_all_there(index, frames)
            times = [frame.time for frame in frames]
            origins = times if origins is None else origins
            since_start = [time - start for time, start in zip(times, origins, strict=True)]
            self._check_times(index, frames, since_start)
            yield self._pair(index, since_start[1], frames)

    def _check_all_there(self, index: int, frames: tuple[Frame | None, ...]) -> None:
        """One that ends early is the mismatch."""
        for video, frame in zip(self._videos, frames, strict=True):
            if frame is None:
                other = next(
                    other.info.path
                    for other, there in zip(self._videos, frames, strict=True)
                    if there is not None
                )
                raise InputError(
                    f"{video.info.path} and {other} cannot be aligned: the first has {index} "
                    f"frames, the second goes on with frame {index}. Measure the part that both "
                    f"have with --frames {index}, or cut them alike."
                )

    def _check_times(
        self, index: int, frames: tuple[Frame, ...], since_start: list[Fraction]
    ) -> None:
        clean, clean_time = frames[1], since_start[1]
        for video, time in zip(self._videos, since_start, strict=True):
            if video.info.is_image_sequence or self.clean.is_image_sequence:
                continue
            # Containers round times to their own grid, the first frame's as well.
            tolerance = video.info.time_base + clean.time_base
            if clean.duration:
                tolerance = min(tolerance, clean.duration * clean.time_base * _LARGEST_SHIFT)
            if abs(time - clean_time) > tolerance:
                raise InputError(
                    f"{video.info.path} and {self.clean.path} cannot be aligned: frame {index} is "
                    f"shown at {float(time):.3f} s in the first and at {float(clean_time):.3f} s "
                    "in the second. Frames were lost, or the rates differ."
                )

    def _pair(self, index: int, time: Fraction, frames: tuple[Frame, ...]) -> FramePair:
        distorted, clean = frames[0].pixels, frames[1].pixels
        if distorted.dtype != clean.dtype:
            distorted, clean = to_uint16(distorted), to_uint16(clean)
        mask = self._image_mask if len(frames) == 2 else _mask_weights(frames[2].pixels)
        return FramePair(index, time, distorted, clean, mask)


@contextmanager
def open_aligned(
    distorted: Path, clean: Path, mask: Path | None = None, frames: int | None = None
) -> Iterator[AlignedVideos]:
    """Open two videos, or image sequences, that show the same.

    Args:
        distorted: Video to be measured.
        clean: What it should be.
        mask: An image, or a video with a frame for each of `clean`.
        frames: At most so many frames; None is all.

    Raises:
        InputError: One cannot be read, or their sizes differ.
    """
    with ExitStack() as stack:

        def enter(path: Path) -> VideoReader:
            return stack.enter_context(open_video(path, frames=frames))

        videos = [enter(distorted), enter(clean)]
        width, height = videos[1].info.size
        _check_size(distorted, videos[0].info.size, clean, (width, height))
        image_mask = None
        if mask is not None and _is_image(mask):
            image_mask = _mask_weights(read_image(mask))
            _check_size(mask, image_mask.shape[::-1], clean, (width, height))
        elif mask is not None:
            videos.append(enter(mask))
            _check_size(mask, videos[2].info.size, clean, (width, height))
        threads = stack.enter_context(ExitStack())  # entered last: ended before files are closed
        yield AlignedVideos(videos, image_mask, threads)


def check_inputs(options: MetricsOptions) -> VideoInfo:
    """Open every input once, so that what cannot work fails before hours of work.

    Returns:
        The reference's facts.

    Raises:
        InputError: A file cannot be read, or its size does not fit the reference or a measure.
    """
    for path in options.distorted:
        with open_aligned(path, options.reference, options.mask, options.frames) as videos:
            clean = videos.clean
    width, height = clean.size
    for name in options.measures:
        needed = MEASURES[name].smallest_side
        if min(width, height) < needed:
            raise InputError(
                f"{clean.path} is {width}x{height}, too small for {MEASURES[name].label}, which "
                f"needs {needed} pixels a side. Leave it out of the measures."
            )
    return clean


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and "%" not in path.name and not path.is_dir()


def _check_size(
    path: Path, size: tuple[int, ...], clean: Path, clean_size: tuple[int, int]
) -> None:
    if size != clean_size:
        raise InputError(
            f"{path} is {size[0]}x{size[1]}, but {clean} is {clean_size[0]}x{clean_size[1]}. "
            "Bring them to one size first: how they are scaled decides what is measured."
        )


def _mask_weights(pixels: Pixels) -> NDArray[np.float32]:
    """White counts fully, black not at all; (H, W) in [0, 1]."""
    total = pixels.sum(axis=2, dtype=np.uint32)
    weights: NDArray[np.float32] = total.astype(np.float32)
    weights /= np.float32(3 * int(np.iinfo(pixels.dtype).max))
    return weights


@contextmanager
def _decoding_ahead(video: VideoReader) -> Iterator[Iterator[Frame]]:
    """Decode in a thread of its own; when the block is left, it has ended."""
    # Any: frames, then `_END` or the error that ended them.
    decoded: queue.Queue[Any] = queue.Queue(_AHEAD)
    stop = threading.Event()

    def put(item: Any) -> None:
        while not stop.is_set():
            try:
                decoded.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return

    def decode() -> None:
        try:
            for frame in video:
                put(frame)
                if stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised again in the consuming thread
            put(error)
        else:
            put(_END)

    def take() -> Iterator[Frame]:
        while True:
            try:
                item = decoded.get(timeout=_POLL_S)  # short: Windows delays Ctrl-C while waiting
            except queue.Empty:
                continue
            if item is _END:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=decode, name="reader")
    thread.start()
    try:
        yield take()
    finally:
        stop.set()
        while thread.is_alive():
            thread.join(_POLL_S)
