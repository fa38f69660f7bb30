"""What lies beside the pictures in a video's file, and which of it an output can hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from refvid.errors import OutputError
from refvid.media.container import (
    find_video_stream,
    is_cover_art,
    is_poster,
    open_container,
)
from refvid.media.encoding import Encoding
from refvid.media.programmes import foreign_streams
from refvid.media.sound import (
    NEVER_COPIED,
    SURE_CODECS,
    SoundFormat,
    choose_sound,
    survives_copy,
)
from refvid.media.tags import read_track_tags
from refvid.media.trial_header import header_error
from refvid.wording import counted

if TYPE_CHECKING:
    from av.container.core import Chapter

TEXT_SUBTITLES: Final = frozenset({"subrip", "ass", "ssa", "webvtt", "mov_text", "text"})
# The text subtitle encoder of each container that refvid writes.
_SUBTITLE_ENCODERS: Final = {
    "mp4": "mov_text",
    "mov": "mov_text",
    "matroska": "subrip",
    "webm": "webvtt",
}
# Written by muxers about the streams they wrote: wrong after any change.
_STALE_TAGS: Final = (
    "BPS", "DURATION", "ENCODER", "NUMBER_OF_BYTES", "NUMBER_OF_FRAMES", "VENDOR_ID", "_STATISTICS",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A stream beside the video that is worked on."""

    index: int
    kind: str
    """audio, subtitle, attachment, video or data."""

    codec: str
    title: str
    """For people."""

    time_base: Fraction
    held_by: frozenset[str] = frozenset()
    """Containers that hold it as it is; of those that refvid writes."""

    converted_by: frozenset[str] = frozenset()
    """Containers that hold it as text of their own kind."""

    is_remade: bool = False
    """Whether the muxer makes it anew: mp4's chapters and time code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Companions:
    """All that a result takes over from its source but the pictures."""

    tracks: tuple[Track, ...]
    chapters: tuple[Chapter, ...]
    tags: dict[str, str]
    """Of the video stream."""

    disposition: Disposition
    foreign: int = 0
    """How many tracks belong to other programmes of a transport stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackCopy:
    """One stream of the source that goes to the result."""

    index: int
    """In the source."""

    kind: str
    """audio, subtitle or attachment."""

    time_base: Fraction
    converted_to: str | None = None
    """Encoder for a subtitle that the container cannot hold as it is."""

    sound: SoundFormat | None = None
    """What sound that the container cannot hold as it is becomes."""


def read_companions(path: Path) -> Companions:
    """Look through a file for what lies beside its pictures.

    Raises:
        InputError: It cannot be read, or has no video track.
    """
    with open_container(path) as container:
        return list_companions(container, find_video_stream(container, path))


def list_companions(container: InputContainer, video: VideoStream) -> Companions:
    """Do the same in a file that is open."""
    foreign = foreign_streams(container, video)
    return Companions(
        tracks=tuple(
            _describe(stream, container)
            for stream in container.streams
            if stream.index not in (video.index, *foreign) and not is_poster(stream)
        ),
        foreign=len(foreign),
        chapters=tuple(container.chapters()),
        tags=stream_metadata(video),
        disposition=video.disposition,
    )


def plan_copies(
    companions: Companions, source: Path, container: str, encoding: Encoding
) -> tuple[tuple[TrackCopy, ...], list[str]]:
    """Decide which tracks can be taken over into a container format, and how.

    Returns:
        The copies, and a note for every track that is converted or left out though the
        caller did not ask for it.

    Raises:
        OutputError: Sound is to be copied that the container does not hold, or all of it would be
            lost.
        InputError: The source cannot be read.
    """
    copies: list[TrackCopy] = []
    notes: list[str] = []
    if companions.foreign:
        count = counted(companions.foreign, "track")
        notes.append(f"other programmes of the file are left out: {count}")
    lost_sound: list[Track] = []
    for track in companions.tracks:
        asked = {"audio": encoding.audio, "subtitle": encoding.subtitles}.get(track.kind, "copy")
        if track.is_remade or asked == "none":
            continue
        sound, is_held = None, _is_held(track, source, container)
        if track.kind == "audio" and not is_held:
            if asked == "copy":
                raise OutputError(
                    f"{track.title} of {source} cannot be stored in {container} as it is. Leave "
                    "out --audio copy, so that it is encoded anew, or choose another container."
                )
            sound = choose_sound(source, track.index, container)
        if sound is not None:
            copies.append(replace(_copy(track), sound=sound, time_base=sound.time_base))
            notes.append(
                f"{track.title} cannot be stored in {container} as it is: encoded as {sound.name}"
            )
        elif is_held:
            copies.append(_copy(track))
        elif container in track.converted_by:
            encoder = _SUBTITLE_ENCODERS[container]
            copies.append(_copy(track, encoder))
            notes.append(f"{track.title} is converted to {encoder}")
        elif track.kind in ("audio", "subtitle", "attachment"):
            only = ": only .mkv holds them" if track.kind == "attachment" else ""
            notes.append(f"{track.title} cannot be stored in {container} and is left out{only}")
            lost_sound += [track] if track.kind == "audio" else []
        else:
            notes.append(f"{track.title} is left out")
    if lost_sound and not any(copy.kind == "audio" for copy in copies):
        raise OutputError(
            f"{lost_sound[0].title} of {source} can neither be stored in {container} nor be "
            "decoded here. Choose another container, or leave the sound out with --audio none."
        )
    return tuple(copies), notes


def _is_held(track: Track, source: Path, container: str) -> bool:
    if container not in track.held_by or (container, track.codec) in NEVER_COPIED:
        return False
    is_sure = track.kind != "audio" or track.codec in SURE_CODECS
    return is_sure or survives_copy(source, track.index, container)


def stream_metadata(stream: Stream) -> dict[str, str]:
    """Return a stream's tags without those that describe how it was written."""
    tags = read_track_tags(stream.metadata)
    return {k: v for k, v in tags.items() if not k.upper().startswith(_STALE_TAGS)}


def _describe(stream: Stream, container: InputContainer) -> Track:
    kind: str = (
        stream.type if stream.type in ("audio", "subtitle", "attachment", "video") else "data"
    )
    word = kind
    if kind == "video":
        word = "cover picture" if is_cover_art(stream) else "second video"  # type: ignore[arg-type]
    tried = {
        "audio": frozenset(_SUBTITLE_ENCODERS),
        "subtitle": frozenset(_SUBTITLE_ENCODERS),
        "attachment": frozenset({"matroska"}),
    }.get(kind, frozenset())
    held_by = frozenset(name for name in tried if _fits(stream, name, None))
    is_text = kind == "subtitle" and codec_name(stream) in TEXT_SUBTITLES
    return Track(
        index=stream.index,
        kind=kind,
        codec=codec_name(stream),
        title=_title(stream, word),
        time_base=stream.time_base or Fraction(1, 1000),
        held_by=held_by,
        converted_by=frozenset(
            name
            for name in (tried - held_by if is_text else ())
            if _fits(stream, name, _SUBTITLE_ENCODERS[name])
        ),
        is_remade=kind == "data" and _is_rewritten(stream, container),
    )


def _copy(track: Track, encoder: str | None = None) -> TrackCopy:
    return TrackCopy(
        index=track.index, kind=track.kind, time_base=track.time_base, converted_to=encoder
    )


def _fits(stream: Stream, container: str, encoder: str | None) -> bool:
    return header_error(container, lambda scratch: add_target(scratch, stream, encoder)) is None


def _is_rewritten(stream: Stream, container: InputContainer) -> bool:
    if "timecode" in stream.metadata:
        return True
    return bool(container.chapters()) and codec_name(stream) in ("bin_data", "text")


def add_target(output: OutputContainer, template: Stream, encoder: str | None) -> Stream:
    """Add a stream for what is copied from another one, or converted by an encoder."""
    if encoder is None:
        return output.add_stream_from_template(template, opaque=None)
    assert isinstance(template, SubtitleStream)
    template.codec_context.open(strict=False)
    stream = output.add_stream(encoder)
    assert isinstance(stream, SubtitleStream)
    # Converters talk through ASS: its header holds the styles that the lines refer to.
    stream.codec_context.subtitle_header = template.codec_context.subtitle_header
    stream.codec_context.time_base = Fraction(1, 1000)
    return stream


def codec_name(stream: Stream) -> str:
    """Return a codec's common name."""
    context = getattr(stream, "codec_context", None)
    if context is not None:
        return str(context.codec.canonical_name)
    return str(getattr(stream, "name", None) or "unknown")


def _title(stream: Stream, kind: str) -> str:
    language = stream.metadata.get("language", "und")
    spoken = "" if language == "und" else f", {language}"
    return f"{kind} track {stream.index} ({codec_name(stream)}{spoken})"
