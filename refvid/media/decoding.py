"""From a file to its pictures in order of display, each with its time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from refvid.errors import InputError
from refvid.media.clock_track import LONGEST_SHOWN
from refvid.media.color import MATRIX_RGB, ColorInfo, resolve_color
from refvid.media.container import input_errors, set_up_decoder
from refvid.media.endings import find_ending
from refvid.media.frame_times import FrameTimes
from refvid.media.orientation import Orientation, read_orientation
from refvid.media.packets import file_clock, read_packets
from refvid.media.picture_color import completed_color
from refvid.media.pixel_conversion import (
    Pixels,
    Planes,
    RgbReader,
    holds_same_samples,
    interleaved,
    to_uint8,
    to_uint16,
)
from refvid.media.remarks import Remarks
from refvid.media.sequence import find_images, read_same_size
from refvid.media.side_data import read_side_data
from refvid.media.video_info import VideoInfo
from refvid.wording import counted

_DAMAGED: Final = "damaged frames: {count}, the first is frame {first}"
_RESIZED: Final = "frames of another size, scaled back: {count}, the first is frame {first}"
_REFORMATTED: Final = (
    "frames in another pixel format, converted: {count}, the first is frame {first}"
)
_RECODED: Final = (
    "frames of another matrix or range, converted: {count}, the first is frame {first}"
)
_OTHER_LIGHT: Final = (
    "frames tagged with other primaries or another transfer: {count}, the first is frame {first}; "
    "the result is tagged as the first frame of all, so these look different in it"
)
_BREAKS_OFF: Final = "breaks off within a frame, about frame {first}: what is whole is used"
_UNMARKED: Final = (
    "has no mark of its end behind frame {first}: if it is a copy, it may have been cut off"
)
_UNREADABLE: Final = "unreadable packets before the first frame: {count}"
_REPEATED: Final = (
    "frames that repeat a time or go back: {count}, the first is frame {first}; they are spread "
    "between their neighbours"
)


@dataclass(slots=True)
class Picture:
    """A frame whose pixels are not converted yet."""

    index: int
    pts: int
    duration: int | None
    load: Callable[[], Pixels | Planes]
    number: int | None = None
    decoded: av.VideoFrame | None = None
    """As it came from the decoder, where it is shown just so: not turned, scaled or cropped."""

    side_data: Mapping[str, bytes] = field(default_factory=dict)
    is_interlaced: bool = False


def cut_off(path: Path, lacking: int) -> InputError:
    """Say that a file lacks its end."""
    return InputError(
        f"{path} is cut off: it lacks {counted(lacking, 'byte')} at its end. Copy or download it "
        "again, or choose a range that ends earlier."
    )


def sequence_pictures(info: VideoInfo) -> Generator[Picture, None, None]:
    """List a sequence's images, to be read one by one.

    Raises:
        InputError: There are more or fewer than before.
    """
    images = find_images(info.path)
    if len(images) != info.frame_count:
        raise InputError(
            f"{info.path} has changed: it had {info.frame_count} images before, and has "
            f"{len(images)} now. Run again once nothing writes to it."
        )
    for index, image in enumerate(images):

        def load(path: Path = image.path) -> Pixels:
            pixels = read_same_size(path, info.width, info.height)
            # The first image decides; a stray 8-bit image among 16-bit ones is widened.
            return to_uint16(pixels) if info.bit_depth > 8 else pixels

        yield Picture(index=index, pts=index, duration=1, load=load, number=image.number)


def decoded_pictures(
    container: InputContainer,
    stream: VideoStream,
    info: VideoInfo,
    lacking: int,
    *,
    planes: bool = False,
    among: int = 1,
) -> Generator[Picture, None, None]:
    """Decode a file's pictures, each with the time until the next.

    With `planes`, those that are stored as they are shown may load colour by colour. `among` so
    many videos that are decoded at once, they share the cores.
    """
    set_up_decoder(stream, threads=True, among=among)
    remarks = Remarks(info.path)
    loader = _Loader(info, remarks, planes=planes)
    usual_step = _usual_step(info)
    waiting: Picture | None = None
    last_step: int | None = None
    shortest: int | None = None
    try:
        with closing(_timed_pictures(container, stream, info, loader, remarks)) as pictures:
            for picture in pictures:
                if waiting is not None:
                    waiting.duration = last_step = picture.pts - waiting.pts
                    shortest = last_step if shortest is None else min(shortest, last_step)
                    yield waiting
                waiting = picture
                usual, least = last_step or usual_step, shortest or usual_step
                waiting.duration = _last_duration(picture.duration, usual, least, info)
        if waiting is not None:
            yield waiting
    finally:
        remarks.say()
    if lacking:
        raise cut_off(info.path, lacking)


def _timed_pictures(
    container: InputContainer,
    stream: VideoStream,
    info: VideoInfo,
    loader: _Loader,
    remarks: Remarks,
) -> Generator[Picture, None, None]:
    """Decode a file's pictures, each with its own idea of how long it is shown."""
    orientation: Orientation | None = None
    unit = stream.time_base or info.time_base
    times: FrameTimes[Picture] = FrameTimes(
        step=_usual_step(info) or 1, scale=int(unit / info.time_base)
    )
    with closing(_decode(container, stream, info, times, remarks)) as decoded:
        for index, frame in enumerate(decoded):
            if orientation is None:
                orientation = read_orientation(frame)
            if frame.is_corrupt:
                remarks.add(_DAMAGED, index)
            load, is_coded_so = loader.later(index, frame, orientation)
            is_shown_so = orientation == Orientation() and info.size == (frame.width, frame.height)
            picture = Picture(
                index=index,
                pts=0,
                decoded=frame if is_shown_so and is_coded_so else None,
                duration=frame.duration * times.scale or None,
                load=load,
                side_data=read_side_data(frame),
                is_interlaced=frame.interlaced_frame,
            )
            yield from _with_times(times.show(picture, frame.pts))
    yield from _with_times(times.finish())
    remarks.add(_REPEATED, times.first_repeat, times.repeats)


def _with_times(settled: list[tuple[Picture, int]]) -> Generator[Picture, None, None]:
    for picture, pts in settled:
        picture.pts = pts
        yield picture


class _Loader:
    """Converts pictures when asked: all of them to what the first one is."""

    def __init__(self, info: VideoInfo, remarks: Remarks, *, planes: bool) -> None:
        self._info = info
        self._planes = planes
        self._remarks = remarks
        # What a picture of luma and chroma leaves open is nothing that RGB could tell.
        is_told = info.color.matrix != MATRIX_RGB
        self._others = info.color if is_told else ColorInfo()
        self._color = resolve_color(info.color, info.coded_height)
        self._to_rgb = RgbReader(self._color)

    def later(
        self, index: int, frame: av.VideoFrame, orientation: Orientation
    ) -> tuple[Callable[[], Pixels | Planes], bool]:
        """Return what gives the pixels of a frame as shown, and whether it is coded as the first.

        A stream may be joined from several, and each of its frames says what it is.
        """
        tags = completed_color(frame, self._others)
        color = resolve_color(tags, self._info.coded_height)
        is_coded_so = color.codes_like(self._color)
        if not is_coded_so:
            self._remarks.add(_RECODED, index)
        if not tags.is_shown_like(self._info.color):
            self._remarks.add(_OTHER_LIGHT, index)
        if not holds_same_samples(frame.format.name, self._info.pix_fmt):
            self._remarks.add(_REFORMATTED, index)
        to_rgb = self._to_rgb if is_coded_so else RgbReader(color)
        return lambda: self._load(index, frame, orientation, to_rgb), is_coded_so

    def _load(
        self, index: int, frame: av.VideoFrame, orientation: Orientation, to_rgb: RgbReader
    ) -> Pixels | Planes:
        crop = self._info.crop
        width, height = self._info.stored_size
        if (frame.width, frame.height) != (width, height):
            self._remarks.add(_RESIZED, index)
        with input_errors(self._info.path, "decode"):
            read = to_rgb.read_loosely(frame, width, height)
        is_stored_so = orientation == Orientation() and self._info.size == (width, height)
        is_asked_so = self._info.bit_depth == 8 and read.dtype == np.uint8
        if self._planes and is_stored_so and is_asked_so:
            return read
        pixels = interleaved(read)
        pixels = pixels[crop.top : height - crop.bottom, crop.left : width - crop.right]
        pixels = to_uint16(pixels) if self._info.bit_depth > 8 else to_uint8(pixels)
        return orientation.apply(pixels)


def _decode(
    container: InputContainer,
    stream: VideoStream,
    info: VideoInfo,
    times: FrameTimes[Picture],
    remarks: Remarks,
) -> Generator[av.VideoFrame, None, None]:
    """Decode until the end.

    A recording may begin in the middle of a group of pictures: what cannot be decoded before
    the first picture is left out. After it, damage is an error, so that no frame is lost in
    silence.
    """
    count = skipped = 0
    is_torn = False
    path = info.path
    clock = file_clock(container, stream, info.origin)
    # Sound is only looked at: the file may break off within it.
    sounds = [sound for sound in container.streams.audio if clock.kinds[sound.index].leads]
    wanted = [stream, *sounds]
    reading = read_packets(container, wanted, path, clock, remarks=remarks)
    with closing(reading) as packets:
        for packet in packets:
            if packet.size:
                is_torn = packet.is_corrupt
            if packet.stream.index != stream.index:
                continue
            time = packet.dts
            if packet.size == 0 and time is not None:
                continue  # Theora: the picture before is shown once more
            if not packet.is_discard:
                times.decode(time)
            try:
                pictures = packet.decode()
            except av.error.EOFError:
                break
            except av.FFmpegError as error:
                if count == 0:
                    times.undo_decode(time)
                    skipped += 1
                    continue
                raise InputError(
                    f"{path} is damaged after frame {count - 1}: {error.strerror}. Repair it, or "
                    "choose a range that ends earlier."
                ) from error
            for picture in pictures:
                assert isinstance(picture, av.VideoFrame)
                count += 1
                yield picture
    if count == 0:
        raise InputError(f"{path}: no frame could be decoded. The file is damaged.")
    remarks.add(_UNREADABLE, 0, skipped)
    ending = find_ending(path, info.container)
    is_torn |= ending == "torn"
    remarks.add(_BREAKS_OFF, count - 1, is_torn)
    remarks.add(_UNMARKED, count - 1, ending == "unmarked" and not is_torn)


def _usual_step(info: VideoInfo) -> int | None:
    """Return the distance of frames at the usual rate, in units of the time base."""
    if info.frame_rate is None:
        return None
    return max(1, round(1 / info.frame_rate / info.time_base))


def _last_duration(
    told: int | None, usual: int | None, least: int | None, info: VideoInfo
) -> int | None:
    """Return how long the last picture is shown.

    Some containers give nonsense here (1 ms, or centuries), so a duration far below the shortest
    step is not believed. The step before it may be a long one, as where a screen was recorded.
    """
    if told is not None and told * info.time_base > LONGEST_SHOWN:
        told = None
    if usual is None or (told is not None and least is not None and 2 * told >= least):
        return told
    return usual
