"""What a video is: size, frame rate, duration, colour, and the tracks beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from refvid.errors import OptionError
from refvid.media.color import MATRIX_RGB, RANGE_FULL, UNSPECIFIED, ColorInfo
from refvid.media.container import find_video_stream, input_errors, open_container
from refvid.media.file_kind import is_webp_animation, picture_suffix
from refvid.media.first_packets import FirstPackets, read_first_packets
from refvid.media.folders import refuse_special
from refvid.media.frame_rate import duration, frame_count, frame_rate, is_variable_rate
from refvid.media.image import read_image
from refvid.media.image_facts import is_transparent
from refvid.media.kept import describe_kinds
from refvid.media.orientation import Orientation, read_orientation
from refvid.media.picture_color import picture_color
from refvid.media.pixel_conversion import format_depth, has_alpha
from refvid.media.sequence import find_images, is_image_sequence
from refvid.media.side_data import Fields, read_side_data
from refvid.media.stream_marks import NO_CROP, Crop, DolbyVision, read_marks
from refvid.media.tracks import Companions, list_companions
from refvid.media.unchanged import FileState, file_state

USUAL_RATE: Final = Fraction(24)
"""Of image sequences, and where a video tells none [1/s]."""

_REFINEMENT: Final = 16  # of a time base in which frames have equal times
_BOTTOM_FIRST: Final = (3, 5)  # AV_FIELD_BB and AV_FIELD_BT


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
    """Of frames that are read; finer than the container's where that is too coarse."""

    origin: Fraction = Fraction(0)
    """When picture or sound begin on the file's own clock, which becomes 0 [s]."""

    start_time: Fraction = Fraction(0)
    """When the first frame is shown, from `origin` on [s]; later than 0 if sound begins first."""

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
    crop: Crop = NO_CROP
    """Edges that the container hides, as stored: before rotation."""

    dolby_vision: DolbyVision | None = None
    is_mirrored: bool = False
    """Whether a tag says to swap left and right, which frames come with done."""

    rotation_is_exact: bool = True
    """Whether `rotation` is the tag's, and not the nearest quarter turn."""

    fields: Fields | None = None
    """The field that is shown first, of interlaced video."""

    has_alpha: bool = False
    """Whether it has transparency, in its pictures or beside them."""

    side_data: Mapping[str, bytes] = field(default_factory=dict)
    """What the first picture carries, see `read_side_data`."""

    companions: Companions | None = None
    """What can be copied beside the pictures; None where nobody has looked."""

    state: FileState | None = None
    """Of the file when it was looked at; None for what is not one file."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as shown."""
        return self.width, self.height

    @property
    def stored_size(self) -> tuple[int, int]:
        """(width, height) as decoded, neither upright nor cropped by the container."""
        width, height = self.size[::-1] if self.rotation in (90, 270) else self.size
        crop = self.crop
        return width + crop.left + crop.right, height + crop.top + crop.bottom

    @property
    def coded_height(self) -> int:
        """Lines before the picture is turned upright, which say what an untagged matrix is."""
        return self.stored_size[1]

    @property
    def hdr(self) -> str | None:
        """What kind of HDR it is, for people; None for SDR."""
        if self.dolby_vision is not None and self.dolby_vision.is_hdr:
            return f"Dolby Vision, profile {self.dolby_vision.profile}"
        if self.color.is_hdr:
            return self.color.transfer_name
        # Without a configuration record, and without tags that tell it from SDR.
        if "DOVI_METADATA" in self.side_data and self.color.transfer == UNSPECIFIED:
            return "Dolby Vision"
        return None

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
            "mirrored": self.is_mirrored,
            "sample_aspect_ratio": str(self.sample_aspect_ratio),
            "frame_rate": None if self.frame_rate is None else str(self.frame_rate),
            "is_variable_rate": self.is_variable_rate,
            "time_base": str(self.time_base),
            "start_time": float(self.origin + self.start_time),
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
            "interlaced": self.fields and f"{self.fields} field first",
            "cropped": asdict(self.crop) if self.crop else None,
            "dolby_vision_profile": self.dolby_vision and self.dolby_vision.profile,
            "transparency": self.has_alpha,
            "side_data": describe_kinds(self.side_data),
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
    refuse_special(path)
    with input_errors(path):
        state = file_state(path)
    if is_webp_animation(path):
        from refvid.media.webp_animation import describe_webp  # noqa: PLC0415 -- makes VideoInfo

        return replace(describe_webp(path), state=state)
    with open_container(path) as container:
        stream = find_video_stream(container, path)
        first = read_first_packets(container, stream, path)
        with input_errors(path):
            info = replace(_describe(path, container, stream, first), state=state)
            if companions:
                return replace(info, companions=list_companions(container, stream))
            return info


def _describe_sequence(path: Path, rate: Fraction | None) -> VideoInfo:
    rate = USUAL_RATE if rate is None else Fraction(rate)
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
        has_alpha=is_transparent(images[0].path),
    )


def stream_codec(stream: Stream) -> str:
    """Return a codec's common name: `av1`, not the decoder's `libdav1d`."""
    context = getattr(stream, "codec_context", None)
    return "unknown" if context is None else str(context.codec.canonical_name)


def _describe(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    first: FirstPackets,
) -> VideoInfo:
    picture = first.picture
    time_base = stream.time_base or Fraction(1, 1000)
    orientation = read_orientation(picture)
    marks = read_marks(stream).checked(picture.width, picture.height)
    width, height = marks.crop.shown(picture.width, picture.height)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if aspect <= 0:
        aspect = Fraction(1)
    if orientation.swaps_sides:
        width, height, aspect = height, width, 1 / aspect
    rate = frame_rate(stream, first.timestamps, time_base)
    length = duration(container, stream, time_base)
    count, is_exact = frame_count(container, stream, length, rate)
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
        is_mirrored=orientation.is_mirrored,
        rotation_is_exact=orientation.is_exact,
        sample_aspect_ratio=aspect,
        frame_rate=rate,
        is_variable_rate=is_variable_rate(container, stream, first.timestamps),
        time_base=time_base / _REFINEMENT if first.repeats_times else time_base,
        start_time=first.start * time_base - first.origin,
        origin=first.origin,
        duration=length,
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
        crop=marks.crop,
        dolby_vision=marks.dolby_vision,
        fields=_fields(picture, stream),
        has_alpha=has_alpha(pix_fmt) or first.has_alpha,
        side_data=read_side_data(picture),
    )


def _fields(picture: av.VideoFrame, stream: VideoStream) -> Fields | None:
    if not picture.interlaced_frame:
        return None
    return "bottom" if stream.codec_context.field_order in _BOTTOM_FIRST else "top"


def _clockwise_degrees(orientation: Orientation) -> int:
    return -90 * orientation.quarter_turns % 360


def _language(stream: Stream) -> str | None:
    language = stream.metadata.get("language")
    return None if language in (None, "und") else language
