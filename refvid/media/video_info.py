"""What a video is: size, frame rate, duration, colour, and the tracks beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from refvid.errors import InputError, OptionError
from refvid.media.color import MATRIX_RGB, RANGE_FULL, RANGE_UNSPECIFIED, UNSPECIFIED, ColorInfo
from refvid.media.container import find_video_stream, input_errors, open_container
from refvid.media.file_kind import is_webp_animation, picture_suffix
from refvid.media.image import read_image
from refvid.media.orientation import Orientation, read_orientation
from refvid.media.pixel_conversion import format_depth, is_rgb
from refvid.media.sequence import find_images, is_image_sequence
from refvid.media.tracks import Companions, list_companions
from refvid.media.unchanged import FileState, file_state

# Files whose index lists every frame, so that counting costs nothing.
_INDEXED_FORMATS: Final = frozenset({"mov", "mp4"})
# Packets looked at where the container tells the frame rate badly or not at all.
_PROBED_PACKETS: Final = 64
_MOST_REORDERED: Final = 16
# A higher average is the mark of a container that stores only milliseconds.
_BELIEVABLE_RATE: Final = 480

DEFAULT_SEQUENCE_RATE: Final = Fraction(24)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """One sound track."""

    codec: str
    sample_rate: int
    channels: int
    language: str | None
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtitleTrack:
    """One subtitle track."""

    codec: str
    language: str | None
    is_default: bool
    is_forced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """A video or image sequence as the user sees it."""

    path: Path
    container: str
    """libav's name of the format, `image sequence` or `webp animation`."""

    codec: str
    pix_fmt: str
    bit_depth: int
    width: int
    """As shown, after rotation [pixels]."""

    height: int
    rotation: int
    """Degrees clockwise that were stored as a tag; frames come turned already."""

    sample_aspect_ratio: Fraction
    frame_rate: Fraction | None
    """Average; None if unknown."""

    is_variable_rate: bool | None
    """None where only reading the whole file would tell."""

    time_base: Fraction
    start_time: Fraction = Fraction(0)
    """When the first frame is shown [s]; not 0 in many recordings."""

    duration: Fraction | None
    """[s]"""

    frame_count: int | None
    frame_count_is_exact: bool
    color: ColorInfo
    """As tagged in the file; see `resolve_color` for what a conversion uses."""

    audio: tuple[AudioTrack, ...] = ()
    subtitles: tuple[SubtitleTrack, ...] = ()
    chapters: int = 0
    metadata: dict[str, str]
    is_image_sequence: bool = False
    companions: Companions | None = None
    """What can be copied beside the pictures; None where nobody has looked."""

    state: FileState | None = None
    """Of the file when it was looked at; None for what is not one file."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as shown."""
        return self.width, self.height

    @property
    def coded_height(self) -> int:
        """Lines before the picture is turned upright, which say what an untagged matrix is."""
        return self.width if self.rotation in (90, 270) else self.height

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; fractions as `"30000/1001"`, times as seconds."""
        return {
            "path": str(self.path),
            "container": self.container,
            "codec": self.codec,
            "pix_fmt": self.pix_fmt,
            "bit_depth": self.bit_depth,
            "width": self.width,
            "height": self.height,
            "rotation": self.rotation,
            "sample_aspect_ratio": str(self.sample_aspect_ratio),
            "frame_rate": None if self.frame_rate is None else str(self.frame_rate),
            "is_variable_rate": self.is_variable_rate,
            "time_base": str(self.time_base),
            "start_time": float(self.start_time),
            "duration": None if self.duration is None else float(self.duration),
            "frame_count": self.frame_count,
            "frame_count_is_exact": self.frame_count_is_exact,
            "color": self.color.to_json(),
            "audio": [
                {
                    "codec": track.codec,
                    "sample_rate": track.sample_rate,
                    "channels": track.channels,
                    "language": track.language,
                    "is_default": track.is_default,
                }
                for track in self.audio
            ],
            "subtitles": [
                {
                    "codec": track.codec,
                    "language": track.language,
                    "is_default": track.is_default,
                    "is_forced": track.is_forced,
                }
                for track in self.subtitles
            ],
            "chapters": self.chapters,
            "metadata": dict(self.metadata),
            "is_image_sequence": self.is_image_sequence,
        }


def read_video_info(
    path: Path, *, rate: Fraction | None = None, companions: bool = False
) -> VideoInfo:
    """Describe a video file, image or image sequence.

    Decodes the first frame, so that rotation and colour are those of the pixels.

    Args:
        path: A video file, an image, a folder of images, or a pattern such as `shot_%04d.png`.
        rate: Frame rate of an image sequence; None is 24.
        companions: Find out as well what can be copied beside the pictures.

    Raises:
        InputError: Missing, damaged, or without a video track.
    """
    if is_image_sequence(path):
        return _describe_sequence(path, rate)
    with input_errors(path):
        state = file_state(path)
    if is_webp_animation(path):
        from refvid.media.webp_animation import describe_webp  # noqa: PLC0415 -- makes VideoInfo

        return replace(describe_webp(path), state=state)
    with open_container(path) as container:
        stream = find_video_stream(container, path)
        timestamps, picture = _probe(container, stream, path)
        with input_errors(path):
            info = replace(_describe(path, container, stream, timestamps, picture), state=state)
            if companions:
                return replace(info, companions=list_companions(container, stream))
            return info


def _describe_sequence(path: Path, rate: Fraction | None) -> VideoInfo:
    rate = DEFAULT_SEQUENCE_RATE if rate is None else Fraction(rate)
    if rate <= 0:
        raise OptionError(f"The frame rate of an image sequence must be positive, not {rate}.")
    images = find_images(path)
    first = read_image(images[0].path)
    depth = 8 * first.itemsize
    return VideoInfo(
        path=path,
        container="image sequence",
        codec=picture_suffix(images[0].path).lower().lstrip("."),
        pix_fmt="rgb24" if depth == 8 else "rgb48le",
        bit_depth=depth,
        width=first.shape[1],
        height=first.shape[0],
        rotation=0,
        sample_aspect_ratio=Fraction(1),
        frame_rate=rate,
        is_variable_rate=False,
        time_base=1 / rate,
        duration=len(images) / rate,
        frame_count=len(images),
        frame_count_is_exact=True,
        color=ColorInfo(matrix=MATRIX_RGB, range=RANGE_FULL),
        metadata={},
        is_image_sequence=True,
    )


def stream_codec(stream: Stream) -> str:
    """Return a codec's common name: `av1`, not the decoder's `libdav1d`."""
    context = getattr(stream, "codec_context", None)
    return "unknown" if context is None else str(context.codec.canonical_name)


def picture_color(picture: av.VideoFrame, stream: VideoStream) -> ColorInfo:
    """Return a picture's tags; what it leaves open is taken from the container."""
    context = stream.codec_context
    pix_fmt = picture.format.name
    matrix = picture.colorspace if picture.colorspace != UNSPECIFIED else context.colorspace
    color_range = picture.color_range or context.color_range
    if is_rgb(pix_fmt):
        matrix, color_range = MATRIX_RGB, RANGE_FULL
    elif matrix == MATRIX_RGB:  # YUV cannot have the identity matrix: a muxer's mistake
        matrix = UNSPECIFIED
    if pix_fmt.startswith("yuvj"):
        color_range = RANGE_FULL
    return ColorInfo(
        matrix=int(matrix),
        range=int(color_range) if color_range in (1, 2) else RANGE_UNSPECIFIED,
        primaries=int(_known(picture.color_primaries, context.color_primaries)),
        transfer=int(_known(picture.color_trc, context.color_trc)),
    )


def _known(first: int, second: int) -> int:
    return first if first not in (0, UNSPECIFIED) else second or UNSPECIFIED


def _probe(
    container: InputContainer, stream: VideoStream, path: Path
) -> tuple[list[int], av.VideoFrame]:
    """Return the first timestamps in order of display, and the first picture."""
    timestamps: list[int] = []
    picture: av.VideoFrame | None = None
    last_error: av.FFmpegError | None = None
    stream.codec_context.thread_count = 1
    with input_errors(path):
        for packet in container.demux(stream):
            if picture is None:
                try:
                    picture = next(iter(packet.decode()), None)
                except av.FFmpegError as error:  # the start of a recording may be cut off
                    last_error = error
            if packet.pts is not None and not packet.is_discard:
                timestamps.append(packet.pts)
            if picture is not None and len(timestamps) >= _PROBED_PACKETS:
                break
    if picture is None:
        raise InputError(
            f"{path}: no frame could be decoded. The file is damaged or cut off."
        ) from last_error
    timestamps.sort()
    # Packets come in order of decoding: at the cut, some that are shown earlier are missing.
    return timestamps[: _PROBED_PACKETS - _MOST_REORDERED], picture


def _describe(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    timestamps: list[int],
    picture: av.VideoFrame,
) -> VideoInfo:
    time_base = stream.time_base or Fraction(1, 1000)
    orientation = read_orientation(picture)
    width, height = picture.width, picture.height
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if aspect <= 0:
        aspect = Fraction(1)
    if orientation.swaps_sides:
        width, height, aspect = height, width, 1 / aspect
    rate = _frame_rate(stream, timestamps, time_base)
    duration = _duration(container, stream, time_base)
    count, is_exact = _frame_count(container, stream, duration, rate)
    pix_fmt = picture.format.name
    return VideoInfo(
        path=path,
        container=container.format.name,
        codec=stream_codec(stream),
        pix_fmt=pix_fmt,
        bit_depth=min(16, format_depth(pix_fmt)),
        width=width,
        height=height,
        rotation=_clockwise_degrees(orientation),
        sample_aspect_ratio=aspect,
        frame_rate=rate,
        is_variable_rate=_is_variable_rate(container, stream, timestamps),
        time_base=time_base,
        start_time=_first_timestamp(picture) * time_base,
        duration=duration,
        frame_count=count,
        frame_count_is_exact=is_exact,
        color=picture_color(picture, stream),
        audio=tuple(
            AudioTrack(
                codec=stream_codec(track),
                sample_rate=track.codec_context.sample_rate if track.codec_context else 0,
                channels=track.codec_context.channels if track.codec_context else 0,
                language=_language(track),
                is_default=bool(track.disposition & Disposition.default),
            )
            for track in container.streams.audio
        ),
        subtitles=tuple(
            SubtitleTrack(
                codec=stream_codec(track),
                language=_language(track),
                is_default=bool(track.disposition & Disposition.default),
                is_forced=bool(track.disposition & Disposition.forced),
            )
            for track in container.streams.subtitles
        ),
        chapters=len(container.chapters()),
        metadata=dict(container.metadata),
    )


def _first_timestamp(picture: av.VideoFrame) -> int:
    return next((stamp for stamp in (picture.pts, picture.dts) if stamp is not None), 0)


def _clockwise_degrees(orientation: Orientation) -> int:
    return -90 * orientation.quarter_turns % 360


def _language(stream: Stream) -> str | None:
    language = stream.metadata.get("language")
    return None if language in (None, "und") else language


def _frame_rate(stream: VideoStream, timestamps: list[int], time_base: Fraction) -> Fraction | None:
    rate = stream.average_rate
    if rate is not None and 0 < rate <= _BELIEVABLE_RATE:
        return rate
    if len(timestamps) > 1 and timestamps[-1] > timestamps[0]:
        span = (timestamps[-1] - timestamps[0]) * time_base
        return ((len(timestamps) - 1) / span).limit_denominator(1001)
    guessed = stream.guessed_rate
    return guessed if guessed is not None and 0 < guessed <= _BELIEVABLE_RATE else None


def _duration(
    container: InputContainer, stream: VideoStream, time_base: Fraction
) -> Fraction | None:
    if stream.duration:
        return stream.duration * time_base
    return Fraction(container.duration, av.time_base) if container.duration else None


def _is_indexed(container: InputContainer) -> bool:
    return bool(_INDEXED_FORMATS & set(container.format.name.split(",")))


def _frame_count(
    container: InputContainer,
    stream: VideoStream,
    duration: Fraction | None,
    rate: Fraction | None,
) -> tuple[int | None, bool]:
    # Fragmented files have an index of their first fragment only; `frames` counts all of it.
    if _is_indexed(container) and len(stream.index_entries) >= stream.frames > 0:
        return sum(not entry.is_discard for entry in stream.index_entries), True
    if stream.frames > 0:
        return stream.frames, False
    if duration is not None and rate is not None:
        return max(1, round(duration * rate)), False
    return None, False


def _is_variable_rate(
    container: InputContainer, stream: VideoStream, timestamps: list[int]
) -> bool | None:
    """A jitter of one tick is rounding, not a variable rate."""
    if _is_indexed(container) and len(stream.index_entries) >= stream.frames > 0:
        # Decoding times are evenly spaced exactly when presentation times are.
        stamps = [entry.timestamp for entry in stream.index_entries if not entry.is_discard]
        return _spread(stamps) > 1
    return True if _spread(timestamps) > 1 else None


def _spread(timestamps: list[int]) -> int:
    steps = [later - earlier for earlier, later in pairwise(timestamps)]
    return max(steps) - min(steps) if steps else 0
