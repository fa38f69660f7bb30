"""Copying sound, subtitles and attachments beside the new video, packet by packet."""

from __future__ import annotations

import io
import logging
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from refvid.media.container import (
    find_video_stream,
    input_errors,
    is_cover_art,
    open_container,
    open_unmanaged,
)
from refvid.media.encoding import Encoding

_log = logging.getLogger(__name__)

_TEXT_SUBTITLES: Final = frozenset({"subrip", "ass", "ssa", "webvtt", "mov_text", "text"})
# The text subtitle encoder of each container.
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
# How far packets of different streams may be out of order in a file [s].
_INTERLEAVING: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackCopy:
    """One stream of the source that goes to the result."""

    index: int
    """In the source."""

    kind: Literal["audio", "subtitle", "attachment"]
    time_base: Fraction
    converted_to: str | None = None
    """Encoder for a subtitle that the container cannot hold as it is."""


def plan_copies(
    source: Path, container: str, encoding: Encoding
) -> tuple[tuple[TrackCopy, ...], list[str]]:
    """Decide which streams of `source` can be copied into a container format.

    Returns:
        The copies, and a note for every stream that is converted or left out though the
        caller did not ask for it.
    """
    copies: list[TrackCopy] = []
    notes: list[str] = []
    with open_container(source) as opened:
        video = find_video_stream(opened, source)
        for stream in opened.streams:
            if stream.index == video.index:
                continue
            if stream.type == "audio":
                if encoding.audio == "copy":
                    _plan_plain(stream, "audio", container, copies, notes)
            elif stream.type == "subtitle":
                if encoding.subtitles == "copy":
                    _plan_subtitle(stream, container, copies, notes)
            elif stream.type == "attachment" and container == "matroska":
                _plan_plain(stream, "attachment", container, copies, notes)
            elif stream.type == "video":
                kind = "cover picture" if is_cover_art(stream) else "second video"  # type: ignore[arg-type]
                notes.append(f"{_title(stream, kind)} is left out")
            elif stream.type == "attachment":
                notes.append(f"attachment {stream.index} is left out: only .mkv holds them")
            elif not _is_rewritten(stream, opened):
                notes.append(f"{_title(stream, 'data')} is left out")
    return tuple(copies), notes


class StreamCopier:
    """Copies the planned streams in step with the video, so that nothing piles up."""

    def __init__(
        self,
        source: Path,
        copies: tuple[TrackCopy, ...],
        output: OutputContainer,
        *,
        keep_metadata: bool,
    ) -> None:
        """Add the streams to `output`. The source stays open until `close`."""
        self._source = source
        self._output = output
        self._container: InputContainer = open_unmanaged(source)
        self._targets: dict[int, Stream] = {}
        self._copies = {copy.index: copy for copy in copies}
        self._last_dts: dict[int, int] = {}
        self._start: Fraction | None = None
        self._limit: Fraction | None = None
        self._packets: Generator[Packet[Stream], None, None] | None = None
        self._waiting: Packet[Stream] | None = None
        try:
            for copy in copies:
                self._add(copy, keep_metadata=keep_metadata)
        except BaseException:
            self._container.close()
            raise

    def _add(self, copy: TrackCopy, *, keep_metadata: bool) -> None:
        template = self._container.streams[copy.index]
        target = _add_target(self._output, template, copy.converted_to)
        tags = stream_metadata(template) if keep_metadata else {}
        if "language" in template.metadata:
            tags["language"] = template.metadata["language"]
        if copy.kind == "attachment":
            tags |= {k: v for k, v in template.metadata.items() if k in ("filename", "mimetype")}
        else:
            target.disposition = template.disposition
        target.metadata.clear()
        target.metadata.update(tags)
        self._targets[copy.index] = target

    def begin(self, start: Fraction | None, limit: Fraction | None) -> None:
        """Fix the part of the source to copy, once the first frame is known.

        Args:
            start: Time of the source that becomes 0 [s]; None keeps all times.
            limit: Time of the source by which the part has ended [s], if that is known.
        """
        self._start = start
        self._limit = limit
        streams = [
            self._container.streams[index]
            for index, copy in self._copies.items()
            if copy.kind != "attachment"
        ]
        if streams:
            self._packets = self._demux(streams)
            self._waiting = self._next()

    def advance(self, until: Fraction) -> None:
        """Copy what belongs before a time of the source [s]."""
        while self._waiting is not None and _packet_time(self._waiting) < until:
            self._write(self._waiting, None)
            self._waiting = self._next()

    def finish(self, until: Fraction | None) -> None:
        """Copy the rest: up to a time of the source [s], or all of it."""
        while self._waiting is not None:
            time = _packet_time(self._waiting)
            if until is None or time < until:
                self._write(self._waiting, until)
            elif time > until + _INTERLEAVING:
                break
            self._waiting = self._next()

    def close(self) -> None:
        """Close the source."""
        self._waiting = None
        if self._packets is not None:
            self._packets.close()
            self._packets = None
        self._container.close()

    def _next(self) -> Packet[Stream] | None:
        return None if self._packets is None else next(self._packets, None)

    def _demux(self, streams: list[Stream]) -> Generator[Packet[Stream], None, None]:
        ends: dict[int, int] = {}
        packets = self._container.demux(*streams)
        while True:
            with input_errors(self._source):
                packet = next(packets, None)
            if packet is None:
                return
            if packet.dts is None and packet.pts is None:
                if packet.size == 0:  # PyAV marks the end of a stream so
                    continue
                packet.pts = ends.get(packet.stream_index, 0)
            if packet.pts is None:
                packet.pts = packet.dts
            if packet.dts is None:
                packet.dts = packet.pts
            assert packet.pts is not None
            ends[packet.stream_index] = packet.pts + (packet.duration or 0)
            yield packet

    def _write(self, packet: Packet[Stream], end: Fraction | None) -> None:
        index = packet.stream_index
        time_base = packet.time_base
        assert packet.pts is not None
        assert packet.dts is not None
        end = self._limit if end is None else end
        is_text = _codec_name(packet.stream) in _TEXT_SUBTITLES
        if self._start is not None:
            late = self._start - packet.pts * time_base
            if late > 0:
                # A line of text may go on into the part; a packet of sound may not.
                shown = Fraction(packet.duration or 0) * time_base
                if not is_text or shown <= late:
                    return
                cut = round(late / time_base)
                packet.pts, packet.dts = packet.pts + cut, packet.dts + cut
                packet.duration = (packet.duration or 0) - cut
        if end is not None and is_text:
            longest = int((end - packet.pts * time_base) / time_base)
            if longest <= 0:
                return
            packet.duration = min(packet.duration or 0, longest)
        converted = self._convert(packet)
        if converted is None:
            return
        if self._start is not None:
            shift = round(self._start / time_base)
            converted.pts = (converted.pts or 0) - shift
            converted.dts = (converted.dts or 0) - shift
        last = self._last_dts.get(index)
        assert converted.dts is not None
        if last is not None and converted.dts < last:
            _log.warning("%s: track %s goes back in time", self._source, index)
            converted.dts = last
            converted.pts = max(converted.pts or last, last)
        self._last_dts[index] = converted.dts
        converted.stream = self._targets[index]
        self._output.mux_one(converted)

    def _convert(self, packet: Packet[Stream]) -> Packet[Stream] | None:
        if self._copies[packet.stream_index].converted_to is None:
            return packet
        source, target = packet.stream, self._targets[packet.stream_index]
        assert isinstance(source, SubtitleStream)
        assert isinstance(target, SubtitleStream)
        with input_errors(self._source, "decode the subtitles of"):
            subtitle = source.codec_context.decode2(packet)
        if subtitle is None or not len(subtitle):
            return None  # a gap between two lines
        encoded = target.codec_context.encode_subtitle(subtitle)
        encoded.time_base = packet.time_base
        encoded.pts, encoded.dts = packet.pts, packet.dts
        encoded.duration = packet.duration
        return encoded


def stream_metadata(stream: Stream) -> dict[str, str]:
    """Return a stream's tags without those that describe how it was written."""
    return {
        key: value
        for key, value in stream.metadata.items()
        if not key.upper().startswith(_STALE_TAGS)
    }


def _plan_plain(
    stream: Stream,
    kind: Literal["audio", "attachment"],
    container: str,
    copies: list[TrackCopy],
    notes: list[str],
) -> None:
    if _fits(stream, container, None):
        copies.append(TrackCopy(index=stream.index, kind=kind, time_base=_time_base(stream)))
    else:
        notes.append(f"{_title(stream, kind)} cannot be stored in {container} and is left out")


def _plan_subtitle(
    stream: Stream, container: str, copies: list[TrackCopy], notes: list[str]
) -> None:
    encoder = _SUBTITLE_ENCODERS[container]
    if _fits(stream, container, None):
        copies.append(TrackCopy(index=stream.index, kind="subtitle", time_base=_time_base(stream)))
    elif _codec_name(stream) in _TEXT_SUBTITLES and _fits(stream, container, encoder):
        copies.append(
            TrackCopy(
                index=stream.index,
                kind="subtitle",
                time_base=_time_base(stream),
                converted_to=encoder,
            )
        )
        notes.append(f"{_title(stream, 'subtitle')} is converted to {encoder}")
    else:
        notes.append(f"{_title(stream, 'subtitle')} cannot be stored in {container}, is left out")


def _fits(stream: Stream, container: str, encoder: str | None) -> bool:
    """Ask the muxer itself, by writing a header in memory."""
    scratch = av.open(io.BytesIO(), "w", format=container)
    try:
        _add_target(scratch, stream, encoder)
        scratch.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    finally:
        with suppress(av.FFmpegError, ValueError):
            scratch.close()
    return True


def _is_rewritten(stream: Stream, container: InputContainer) -> bool:
    """Whether a data stream is made anew by the muxer: mp4's chapters and time code."""
    if "timecode" in stream.metadata:
        return True
    return bool(container.chapters()) and _codec_name(stream) in ("bin_data", "text")


def _add_target(output: OutputContainer, template: Stream, encoder: str | None) -> Stream:
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


def _packet_time(packet: Packet[Stream]) -> Fraction:
    return (packet.pts or 0) * packet.time_base


def _time_base(stream: Stream) -> Fraction:
    return stream.time_base or Fraction(1, 1000)


def _codec_name(stream: Stream) -> str:
    context = getattr(stream, "codec_context", None)
    if context is not None:
        return str(context.codec.canonical_name)
    return str(getattr(stream, "name", None) or "unknown")


def _title(stream: Stream, kind: str) -> str:
    language = stream.metadata.get("language", "und")
    spoken = "" if language == "und" else f", {language}"
    return f"{kind} track {stream.index} ({_codec_name(stream)}{spoken})"
