"""From a file to its pictures in order of display, each with its time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.video.stream import VideoStream

from refvid.errors import InputError
from refvid.media.color import resolve_color
from refvid.media.container import input_errors
from refvid.media.orientation import Orientation, read_orientation
from refvid.media.pixel_conversion import Pixels, RgbReader, to_uint16
from refvid.media.sequence import find_images, read_same_size
from refvid.media.video_info import VideoInfo
from refvid.wording import counted

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Picture:
    """A frame whose pixels are not converted yet."""

    index: int
    pts: int
    duration: int | None
    load: Callable[[], Pixels]
    number: int | None = None
    decoded: av.VideoFrame | None = None
    """As it came from the decoder, where it is shown just so: neither turned nor scaled."""


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
    container: InputContainer, stream: VideoStream, info: VideoInfo, lacking: int
) -> Generator[Picture, None, None]:
    """Decode a file's pictures, each with the time until the next."""
    to_rgb = RgbReader(resolve_color(info.color, info.coded_height))
    orientation: Orientation | None = None
    waiting: Picture | None = None
    with closing(_decode(container, stream, info.path)) as decoded:
        for index, picture in enumerate(decoded):
            if orientation is None:
                orientation = read_orientation(picture)
            if picture.is_corrupt:
                _log.warning("%s: frame %s is damaged", info.path, index)
            pts = _next_timestamp(picture, waiting, info)
            if waiting is not None:
                waiting.duration = pts - waiting.pts
                yield waiting
            last_step = None if waiting is None else waiting.duration
            is_shown_so = orientation == Orientation() and info.size == (
                picture.width,
                picture.height,
            )
            waiting = Picture(
                index=index,
                pts=pts,
                duration=_last_duration(picture, last_step, info),
                load=_Loader(picture, to_rgb, orientation, info),
                decoded=picture if is_shown_so else None,
            )
    if waiting is not None:
        yield waiting
    if lacking:
        raise cut_off(info.path, lacking)


class _Loader:
    """Converts one picture when asked."""

    __slots__ = ("_info", "_orientation", "_picture", "_to_rgb")

    def __init__(
        self,
        picture: av.VideoFrame,
        to_rgb: RgbReader,
        orientation: Orientation,
        info: VideoInfo,
    ) -> None:
        self._picture = picture
        self._to_rgb = to_rgb
        self._orientation = orientation
        self._info = info

    def __call__(self) -> Pixels:
        width, height = self._info.size
        if self._orientation.swaps_sides:
            width, height = height, width
        if (self._picture.width, self._picture.height) != (width, height):
            _log.warning("%s: a frame changes its size and is scaled back", self._info.path)
        with input_errors(self._info.path, "decode"):
            pixels = self._to_rgb.read(self._picture, width, height)
        if self._info.bit_depth > 8:
            pixels = to_uint16(pixels)
        return self._orientation.apply(pixels)


def _decode(
    container: InputContainer, stream: VideoStream, path: Path
) -> Generator[av.VideoFrame, None, None]:
    """Decode until the end.

    A recording may begin in the middle of a group of pictures: what cannot be decoded before
    the first picture is left out. After it, damage is an error, so that no frame is lost in
    silence.
    """
    stream.codec_context.thread_type = ThreadType.AUTO
    count = skipped = 0
    with input_errors(path):
        packets = container.demux(stream)
    while True:
        with input_errors(path):
            packet = next(packets, None)
        if packet is None:
            break
        try:
            pictures = packet.decode()
        except av.error.EOFError:
            break
        except av.FFmpegError as error:
            if count == 0:
                skipped += 1
                continue
            raise InputError(
                f"{path} is damaged after frame {count - 1}: {error.strerror}. Repair it, or "
                "choose a range that ends earlier."
            ) from error
        for picture in pictures:
            count += 1
            yield picture
    if count == 0:
        raise InputError(f"{path}: no frame could be decoded. The file is damaged.")
    if skipped:
        _log.warning("%s: %s packets before the first frame were unreadable", path, skipped)


def _next_timestamp(picture: av.VideoFrame, before: Picture | None, info: VideoInfo) -> int:
    """Return a picture's timestamp, repaired where the container has none or repeats one."""
    pts = picture.pts if picture.pts is not None else picture.dts
    if before is None:
        return 0 if pts is None else pts
    if pts is None:
        return before.pts + (before.duration or 1)
    if pts <= before.pts:
        _log.warning("%s: frame %s repeats a timestamp", info.path, before.index + 1)
        return before.pts + 1
    return pts


def _last_duration(picture: av.VideoFrame, last_step: int | None, info: VideoInfo) -> int | None:
    """Return how long the last picture is shown.

    Some containers give nonsense here (1 ms), so a duration far from the step before it is
    not believed.
    """
    usual = last_step
    if usual is None and info.frame_rate is not None:
        usual = max(1, round(1 / info.frame_rate / info.time_base))
    told = picture.duration or None
    if usual is None or (told is not None and 2 * told >= usual):
        return told
    return usual
