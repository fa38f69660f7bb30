"""Deciding, before any work, how a result is written and what cannot be kept."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Final

from refvid.errors import OptionError, OutputError
from refvid.media.color import MATRIX_RGB, RANGE_FULL, ColorInfo, resolve_color
from refvid.media.encoders import bound_lookahead, encoder_options, find_encoder
from refvid.media.encoding import Encoding, codec_name, preset_for
from refvid.media.file_kind import notes_on_picture
from refvid.media.hdr10 import hdr10_options
from refvid.media.image import IMAGE_SUFFIXES
from refvid.media.kept import PROPERTIES, describe_losses
from refvid.media.origin_marks import read_origin_marks
from refvid.media.output_notes import mark_notes, origin_notes, pixel_notes, sequence_notes
from refvid.media.output_stream import tried
from refvid.media.pixel_conversion import format_depth, is_rgb
from refvid.media.pixel_formats import pixel_formats
from refvid.media.sequence import check_pattern, is_image_sequence, is_pattern
from refvid.media.side_data import Fields
from refvid.media.tracks import Companions, TrackCopy, plan_copies, read_companions
from refvid.media.video_info import USUAL_RATE, VideoInfo
from refvid.media.y4m import ENCODER_OPTIONS, FORMATS, MUXER_OPTIONS, Y4M, y4m_notes

_CONTAINERS: Final = MappingProxyType(
    {
        ".mp4": "mp4",
        ".m4v": "mp4",
        ".mov": "mov",
        ".mkv": "matroska",
        ".webm": "webm",
        ".y4m": Y4M,
    }
)
# Codecs that an output takes over from its input when its container allows.
_KEPT_CODECS: Final = MappingProxyType(
    {
        "mp4": ("h264", "hevc", "av1", "vp9"),
        "mov": ("h264", "hevc", "prores"),
        "matroska": ("h264", "hevc", "av1", "vp9", "ffv1"),
        "webm": ("vp9", "av1"),
        Y4M: ("rawvideo",),
    }
)
_HIGHEST_RATE: Final = 240  # SVT-AV1 refuses more, and rate control needs no more


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPlan:
    """How a result is written."""

    container: str
    """libav's name of the format, or `image sequence`."""

    codec: str
    """As asked for or chosen: h264, hevc, ...; for image sequences the suffix."""

    encoder: str
    """libavcodec's name; for image sequences the suffix."""

    pix_fmt: str
    width: int
    height: int
    sample_aspect_ratio: Fraction
    frame_rate: Fraction
    time_base: Fraction
    options: dict[str, str]
    color: ColorInfo
    """The tags written, and the matrix and range used."""

    allows_b_frames: bool
    fields: Fields | None = None
    """The field shown first, where interlaced frames stay marked so."""

    tracks: tuple[TrackCopy, ...] = ()
    companions: Companions | None = None
    """Of the source, where that is a file."""

    source_type: str | None = None
    """What the source says it is, see `OriginMarks`."""

    notes: tuple[str, ...] = ()
    """What is done differently from what the user might expect."""

    @property
    def has_timestamps(self) -> bool:
        """Whether frames have times of their own; else they come at an even rate."""
        return self.container != Y4M

    @property
    def muxer_options(self) -> dict[str, str]:
        """What the container's muxer is told, whatever the video."""
        return dict(MUXER_OPTIONS) if self.container == Y4M else {}

    def describe_losses(self, names: Iterable[str]) -> list[str]:
        """Say what kinds of side data (names of `FRAME_DATA`) such a result does without."""
        return describe_losses(
            names, encoder=self.encoder, codec=self.codec, container=self.container
        )


def default_suffix(info: VideoInfo) -> str:
    """Return the suffix of the output that can hold all that this input has."""
    suffix = info.path.suffix.lower()
    if info.is_image_sequence:
        return ".mp4"
    if "mp4" in info.container.split(","):
        return ".mov" if suffix in (".mov", ".qt") else ".mp4"
    if "webm" in info.container.split(",") and suffix == ".webm":
        return ".webm"
    return ".mkv"


def plan_output(output: Path, like: VideoInfo, encoding: Encoding) -> OutputPlan:
    """Decide how `output` is written, without touching the disk there.

    Args:
        output: A path whose suffix names a container (.mp4, .mov, .mkv, .webm, .y4m), or an image
            pattern such as `out_%04d.png`.
        like: The source: size, timing, colour and tracks are kept.
        encoding: The caller's wishes.

    Raises:
        OutputError: Unknown container, missing encoder, or one that cannot do this.
        OptionError: Options that the encoder does not know or take.
        InputError: The source cannot be read any more.
    """
    if output.suffix.lower() in IMAGE_SUFFIXES:
        plan = _plan_sequence(output, like, encoding)
        return _with_origin(plan, like, encoding)
    container = _container(output)
    plan, notes = _plan_video(container, like, encoding)
    notes += plan.describe_losses(like.side_data)
    notes += _source_notes(like)
    notes += mark_notes(plan, like)
    if container == Y4M:
        notes += y4m_notes(like, encoding, plan.color)
    elif not like.is_image_sequence:
        companions = like.companions or read_companions(like.path)
        tracks, track_notes = plan_copies(companions, like.path, container, encoding)
        plan = replace(plan, tracks=tracks, companions=companions)
        notes += track_notes
    return _with_origin(replace(plan, notes=tuple(notes)), like, encoding)


def _with_origin(plan: OutputPlan, like: VideoInfo, encoding: Encoding) -> OutputPlan:
    """Look at what the source says of how it was made: a result must not hide that."""
    if encoding.credentials is not None:
        encoding.credentials.check(plan.container)
    marks = read_origin_marks(like.path, like.metadata)
    notes = origin_notes(marks, encoding)
    return replace(plan, source_type=marks.source_type, notes=(*plan.notes, *notes))


def check_suffix(output: Path) -> None:
    """Raise `OutputError` where a name says nothing that can be written, whatever the input."""
    if output.suffix.lower() not in IMAGE_SUFFIXES:
        _container(output)


def _container(output: Path) -> str:
    container = _CONTAINERS.get(output.suffix.lower())
    if container is None:
        raise OutputError(
            f"Cannot write {output}: use one of {', '.join(_CONTAINERS)}, or an image pattern "
            "such as frame_%04d.png."
        )
    return container


def _plan_video(
    container: str, like: VideoInfo, encoding: Encoding
) -> tuple[OutputPlan, list[str]]:
    """Find the first codec and pixel format, in order of preference, that really works."""
    notes: list[str] = []
    wanted = codec_name(encoding.codec) if encoding.codec else None
    failure = ""
    if wanted:
        codecs = [wanted]
    elif encoding.encoder_options:
        # Options are meant for the codec that would be chosen without them.
        plain, _ = _plan_video(container, like, replace(encoding, encoder_options={}))
        codecs = [plain.codec]
    else:
        codecs = _default_codecs(container, like)
    # Another codec is better than fewer bits per colour; that again is better than nothing.
    attempts = [(codec, keeps) for keeps in (True, False) for codec in codecs]
    for codec, keeps_depth in attempts:
        preset = preset_for(codec)
        options = encoder_options(preset, encoding)
        names = [known.name for known in find_encoder(preset.encoder).video_formats or ()]
        if container == Y4M:
            names = list(FORMATS)
        for pix_fmt in pixel_formats(preset.encoder, names, like, encoding.pix_fmt):
            if keeps_depth and format_depth(pix_fmt) < min(like.bit_depth, 10):
                continue
            plan = _video_plan(container, codec, preset.encoder, pix_fmt, options, like)
            plan, problem = tried(plan)
            if problem is not None:
                failure = failure or problem  # of the format that fits best
                continue
            if codec != codecs[0]:
                notes.append(
                    f"the video is stored as {codec}: {codecs[0]} cannot hold "
                    f"{like.width}x{like.height} {like.pix_fmt} here"
                )
            return plan, notes + pixel_notes(plan, like, encoding)
    raise _refusal(container, codecs[0], like, encoding, failure)


def _default_codecs(container: str, like: VideoInfo) -> list[str]:
    kept = _KEPT_CODECS[container]
    source = {"vp8": "vp9"}.get(like.codec, like.codec) if container == "webm" else like.codec
    order = [source] if source in kept else []
    # libvpx is often built without 10 bits; AV1 is what VP9's users would take instead.
    order += ["av1"] if source == "vp9" else []
    return list(dict.fromkeys([*(codec for codec in order if codec in kept), *kept]))


def _refusal(
    container: str, codec: str, like: VideoInfo, encoding: Encoding, failure: str
) -> OptionError | OutputError:
    what = f"{like.width}x{like.height} video as {codec} in {container}"
    why = f": {failure}" * bool(failure)
    if encoding.encoder_options and failure:
        plain = replace(encoding, encoder_options={})
        with suppress(OptionError, OutputError):
            _plan_video(container, like, plain)
            given = ", ".join(f"{k}={v}" for k, v in encoding.encoder_options.items())
            return OptionError(f"The encoder for {codec} does not accept {given}{why}.")
    if encoding.pix_fmt is not None:
        return OutputError(
            f"Cannot write {what} with pixel format {encoding.pix_fmt}{why}. Leave the pixel "
            "format out, or choose another codec."
        )
    return OutputError(
        f"Cannot write {what}{why}. Choose another codec or container; refvid doctor lists the "
        "encoders that work here."
    )


def _video_plan(
    container: str,
    codec: str,
    encoder: str,
    pix_fmt: str,
    options: dict[str, str],
    like: VideoInfo,
) -> OutputPlan:
    color = resolve_color(like.color, like.coded_height)
    if is_rgb(pix_fmt):
        color = replace(color, matrix=MATRIX_RGB, range=RANGE_FULL)
    elif encoder == "mjpeg" or pix_fmt.startswith("yuvj"):
        color = replace(color, range=RANGE_FULL)
    elif is_rgb(like.pix_fmt):
        color = resolve_color(
            ColorInfo(primaries=color.primaries, transfer=color.transfer), like.coded_height
        )
    # mp4 and mov derive durations from decoding times, which B-frames make uneven.
    is_even = like.is_variable_rate is False or container not in ("mp4", "mov")
    if container == Y4M:
        options = ENCODER_OPTIONS | options
    rate = min(like.frame_rate or USUAL_RATE, Fraction(_HIGHEST_RATE))
    return OutputPlan(
        container=container,
        codec=codec,
        encoder=encoder,
        pix_fmt=pix_fmt,
        width=like.width,
        height=like.height,
        sample_aspect_ratio=like.sample_aspect_ratio,
        frame_rate=rate,
        time_base=1 / rate if container == Y4M else like.time_base,
        options=hdr10_options(
            encoder, bound_lookahead(encoder, options, like.width, like.height), like.side_data
        ),
        color=color,
        allows_b_frames=is_even,
        fields=_fields(encoder, like),
    )


def _fields(encoder: str, like: VideoInfo) -> Fields | None:
    # Turned, the lines of a field are columns, or change places with those of the other.
    keeps = encoder in PROPERTIES["interlacing"].encoders and not like.rotation
    return like.fields if keeps else None


def _plan_sequence(output: Path, like: VideoInfo, encoding: Encoding) -> OutputPlan:
    suffix = output.suffix.lower()
    check_pattern(output)
    is_single = like.is_image_sequence and like.frame_count == 1
    if not is_pattern(output) and not is_single:
        raise OutputError(
            f"Cannot write a video to one image. Use {output.stem}_%04d{suffix} or a video suffix."
        )
    name = suffix.lstrip(".")
    if encoding.codec not in (None, name) or encoding.encoder_options or encoding.pix_fmt:
        raise OptionError("Images take no codec, pixel format or encoder options. Leave them out.")
    if encoding.crf is not None:
        raise OptionError("Images have no crf. Leave it out.")
    notes = [*sequence_notes(like, suffix), *_source_notes(like)]
    is_deep = like.bit_depth > 8 and suffix in (".png", ".tif", ".tiff")
    return OutputPlan(
        container="image sequence",
        codec=name,
        encoder=name,
        pix_fmt="rgb48le" if is_deep else "rgb24",
        width=like.width,
        height=like.height,
        sample_aspect_ratio=like.sample_aspect_ratio,
        frame_rate=like.frame_rate or USUAL_RATE,
        time_base=like.time_base,
        options={},
        color=ColorInfo(matrix=MATRIX_RGB, range=RANGE_FULL),
        allows_b_frames=False,
        notes=tuple(notes),
    )


def _source_notes(like: VideoInfo) -> tuple[str, ...]:
    return notes_on_picture(like.path) if is_image_sequence(like.path) else ()
