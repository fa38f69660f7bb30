"""Reading a video or image sequence frame by frame, with its timestamps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

import av

from refvid.errors import InputError, OptionError
from refvid.media.container import find_video_stream, open_unmanaged
from refvid.media.decoding import Picture, cut_off, decoded_pictures, sequence_pictures
from refvid.media.frame_range import FrameRange
from refvid.media.pixel_conversion import Pixels, Planes, interleaved
from refvid.media.truncation import missing_bytes
from refvid.media.unchanged import check_unchanged
from refvid.media.video_info import VideoInfo, read_video_info
from refvid.media.webp_animation import webp_pictures
from refvid.wording import counted


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as shown: upright, RGB."""

    shown: Pixels | Planes
    """What is seen; planes only where they were asked for."""

    index: int
    """Counted from 0 over the whole file."""

    pts: int
    """When it is shown, in units of `time_base`; strictly increasing."""

    time_base: Fraction
    duration: int | None
    """Until the next frame, in units of `time_base`."""

    number: int | None = None
    """The number in the file's name, for image sequences."""

    decoded: av.VideoFrame | None = None
    """The same as it came from the decoder, if that was asked for and is what is shown."""
    side_data: Mapping[str, bytes] = field(default_factory=dict)
    """What it carries besides pixels, see `read_side_data`."""

    is_interlaced: bool = False

    @property
    def pixels(self) -> Pixels:
        """(H, W, 3) RGB, uint8, or uint16 at full scale for sources deeper than 8 bits."""
        return interleaved(self.shown)

    @property
    def time(self) -> Fraction:
        """When it is shown [s]."""
        return self.pts * self.time_base


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """What part of the source a reader gives: what a writer must know to cut the sound."""

    start: bool = False
    """The beginning is left out: the result starts at time 0."""

    end: Fraction | None = None
    """About where the part ends, as a time of the source [s]; None is its end."""

    limit: Fraction | None = None
    """Where it ends at the latest [s], if that is known for sure."""

    is_open_ended: bool = True
    """The part goes on to the end of the source: so does the sound, even if it is longer."""


def _as_time(bound: Fraction | int, period: Fraction | int) -> Fraction:
    return Fraction(bound * period) if isinstance(bound, int) else bound


class VideoReader(Iterator[Frame]):
    """Gives a video's frames in order of display, once. Made by `open_video`.

    Memory does not grow with the video. It may be iterated in another thread than the one
    that made it, but only in one.
    """

    def __init__(
        self,
        info: VideoInfo,
        pictures: Generator[Picture, None, None],
        close: Callable[[], None],
        part: FrameRange,
        *,
        keep_decoded: bool = False,
    ) -> None:
        self.info = info
        self._pictures = pictures
        self._close = close
        self._range = part
        self._keeps_decoded = keep_decoded
        self._skipped = 0
        self._frames = self._select()
        # Freeing the decoder while another thread decodes would crash the process.
        self._lock = Lock()

    @property
    def trim(self) -> Trim:
        """What part of the source the frames come from."""
        period = 0 if self.info.frame_rate is None else 1 / self.info.frame_rate
        start, end, frames = self._range.start or 0, self._range.end, self._range.frames
        ends = []
        if end is not None:
            ends.append(_as_time(end, period))
        if frames is not None:
            ends.append(_as_time(start, period) + frames * period)
        origin = self.info.start_time
        return Trim(
            start=start > 0,
            end=origin + min(ends) if ends and period else None,
            limit=origin + end if isinstance(end, Fraction) else None,
            is_open_ended=self._range.is_open_ended,
        )

    def skip(self, frames: int) -> None:
        """Leave out so many of the part's frames, before the first is taken: they are decoded, but
        not converted.
        """
        self._skipped = frames

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        with self._lock:
            return next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the decoder and the file; after this there are no more frames."""
        with self._lock:
            self._frames.close()
            self._pictures.close()
            self._close()

    def frame_at(self, time: Fraction) -> Frame:
        """Return the frame that is shown at a time from the first frame on [s].

        Raises:
            InputError: The video ends before.
        """
        with self._lock:
            return self._frame_at(time)

    def _frame_at(self, time: Fraction) -> Frame:
        shown: Picture | None = None
        first_time = Fraction(0)
        for picture in self._pictures:
            if shown is None:
                first_time = picture.pts * self.info.time_base
            elif picture.pts * self.info.time_base - first_time > time:
                break
            shown = picture
        assert shown is not None  # a video without a frame raises InputError
        ends = (shown.pts + (shown.duration or 0)) * self.info.time_base - first_time
        if time >= ends:
            raise InputError(
                f"{self.info.path} is only {float(ends):.3f} s long "
                f"({counted(shown.index + 1, 'frame')}). Choose an earlier time."
            )
        return self._frame(shown)

    def _frame(self, picture: Picture) -> Frame:
        return Frame(
            picture.load(),
            picture.index,
            picture.pts,
            self.info.time_base,
            picture.duration,
            picture.number,
            picture.decoded if self._keeps_decoded else None,
            picture.side_data,
            picture.is_interlaced,
        )

    def _select(self) -> Generator[Frame, None, None]:
        first: int | None = None
        given = count = 0
        for picture in self._pictures:
            count = picture.index + 1
            first = picture.pts if first is None else first
            time = (picture.pts - first) * self.info.time_base
            if self._range.is_before_start(picture.index, time):
                continue
            if self._range.is_past_end(picture.index, time):
                break
            if given >= self._skipped:
                yield self._frame(picture)
            given += 1
            if given == self._range.frames:
                break
        if self.info.state is not None:
            check_unchanged(self.info.path, self.info.state)
        if given == 0:
            raise InputError(
                f"{self.info.path} has only {counted(count, 'frame')}{self._length()}: none of "
                f"them is in the range {_bounds(self._range)}. Choose an earlier start."
            )

    def _length(self) -> str:
        duration = self.info.duration
        return "" if duration is None else f" ({float(duration):.3f} s)"


def open_video(
    path: Path,
    part: FrameRange | None = None,
    *,
    start: Fraction | int | None = None,
    end: Fraction | int | None = None,
    frames: int | None = None,
    rate: Fraction | None = None,
    info: VideoInfo | None = None,
    keep_decoded: bool = False,
    planes: bool = False,
    among: int = 1,
) -> VideoReader:
    """Open a video file, an image or an image sequence.

    Args:
        path: A video file, an image, a folder of images, or a pattern such as `shot_%04d.png`.
        part: Which frames; or, in place of it:
        start: First frame: an index (int), or a time from the first frame on [s] (Fraction).
        end: First frame or time that is left out.
        frames: At most so many frames.
        rate: Frame rate of an image sequence; None is 24.
        info: What is known of the file already; None has a look.
        keep_decoded: Give frames also as they came from the decoder, for `write_unchanged`.
        planes: Give frames colour by colour where that is faster, see `Frame.shown`.
        among: How many videos are read at once: their decoders share the cores.

    Returns:
        A reader; use it as a context manager. Iterating raises InputError where the file is
        damaged, changes meanwhile, or if the range holds no frame.

    Raises:
        InputError: Missing, damaged, cut off, or without a video track.
        OptionError: The range is impossible.
    """
    part = part or FrameRange(start=start, end=end, frames=frames)
    info = info or read_video_info(path, rate=rate)
    if info.is_image_sequence:
        return VideoReader(info, sequence_pictures(info), lambda: None, part)
    if info.container == "webp animation":
        return VideoReader(info, webp_pictures(info), lambda: None, part)
    lacking = missing_bytes(path)
    if lacking and part.is_open_ended:
        raise cut_off(path, lacking)
    container = open_unmanaged(path)
    try:
        stream = find_video_stream(container, path)
    except BaseException:
        container.close()
        raise
    pictures = decoded_pictures(container, stream, info, lacking, planes=planes, among=among)
    return VideoReader(info, pictures, container.close, part, keep_decoded=keep_decoded)


def read_frame(
    path: Path,
    *,
    index: int | None = None,
    time: Fraction | None = None,
    info: VideoInfo | None = None,
) -> Frame:
    """Read one frame of a video or image sequence.

    Args:
        path: As for `open_video`.
        index: Counted from 0; or
        time: a moment from the first frame on [s]: the frame that is shown then.
        info: What is known of the file already; None has a look.

    Raises:
        InputError: The video is too short, or cannot be read.
        OptionError: Not exactly one of `index` and `time`, or negative.
    """
    if (index is None) == (time is None):
        raise OptionError("Give either the index or the time of a frame.")
    wanted = index if index is not None else time
    assert wanted is not None
    if wanted < 0:
        raise OptionError(f"The index or time of a frame must not be negative, not {wanted}.")
    if index is not None:
        with open_video(path, start=index, frames=1, info=info) as video:
            return next(iter(video))
    assert time is not None
    with open_video(path, end=Fraction(2**40), info=info) as video:
        return video.frame_at(time)


def _bounds(part: FrameRange) -> str:
    start = 0 if part.start is None else part.start
    unit = "frame" if isinstance(start, int) else "second"
    return f"from {unit} {float(start):g} on"
