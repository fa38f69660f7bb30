"""Copying sound, subtitles and attachments beside the new video, packet by packet."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Final

from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from refvid.media.container import find_video_stream, input_errors, open_unmanaged
from refvid.media.packets import file_clock, read_packets
from refvid.media.remarks import Remarks
from refvid.media.sound import add_sound
from refvid.media.sound_conversion import SoundConverter
from refvid.media.subtitle_conversion import SubtitleConverter
from refvid.media.tags import fit_track_tags
from refvid.media.track_times import LeadIn, TrackTimes
from refvid.media.tracks import (
    TEXT_SUBTITLES,
    TrackCopy,
    add_target,
    codec_name,
    stream_metadata,
)
from refvid.media.unchanged import check_unchanged, file_state

# How far packets of different streams may be out of order in a file [s].
_INTERLEAVING: Final = 10
# What decoders of sound may need before the first moment that is heard [s].
_LEAD_IN: Final = Fraction(1, 10)
_BACKWARD: Final = "packets of track {first} that go back in time: {count}"


class StreamCopier:
    """Copies the planned streams in step with the video, so that nothing piles up."""

    def __init__(
        self,
        source: Path,
        copies: tuple[TrackCopy, ...],
        output: OutputContainer,
        *,
        origin: Fraction,
        keep_metadata: bool,
    ) -> None:
        """Add the streams to `output`. The source stays open until `close`.

        Args:
            source: Where they come from.
            copies: Which they are.
            output: Where they go.
            origin: The time of the source's own clock that becomes 0 [s].
            keep_metadata: Whether to copy tags.
        """
        self._source = source
        self._output = output
        self._origin = origin
        self._remarks = Remarks(source)
        with input_errors(source):
            self._state = file_state(source)
        self._container: InputContainer = open_unmanaged(source)
        self._targets: dict[int, Stream] = {}
        self._copies = {copy.index: copy for copy in copies}
        self._sounds: dict[int, SoundConverter] = {}
        self._texts: dict[int, SubtitleConverter] = {}
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
        if copy.sound is not None:
            assert isinstance(template, AudioStream)
            encoded = add_sound(self._output, copy.sound)
            target: Stream = encoded
            self._sounds[copy.index] = SoundConverter(
                template,
                encoded,
                copy.sound,
                self._source,
                has_gaps=self._container.format.name != "avi",
            )
        else:
            target = add_target(self._output, template, copy.converted_to)
        if copy.converted_to is not None:
            assert isinstance(template, SubtitleStream)
            assert isinstance(target, SubtitleStream)
            self._texts[copy.index] = SubtitleConverter(template, target, self._source)
        tags = stream_metadata(template)
        if not keep_metadata:
            tags = {k: v for k, v in tags.items() if k == "language"}
        if copy.kind == "attachment":
            tags |= {k: v for k, v in template.metadata.items() if k in ("filename", "mimetype")}
        else:
            target.disposition = template.disposition
        target.metadata.clear()
        target.metadata.update(fit_track_tags(tags, self._output.format.name))
        self._targets[copy.index] = target

    def begin(self, start: Fraction | None, limit: Fraction | None) -> None:
        """Fix the part of the source to copy, once the first frame is known.

        Args:
            start: Time of the source that becomes 0 [s]; None keeps all times.
            limit: Time of the source by which the part has ended [s], if that is known.
        """
        self._start = start
        self._limit = limit
        for sound in self._sounds.values():
            sound.begin(start)
        for text in self._texts.values():
            text.begin(start)
        streams = [
            self._container.streams[index]
            for index, copy in self._copies.items()
            if copy.kind != "attachment"
        ]
        if streams:
            self._packets = self._read(streams)
            self._waiting = self._next()

    def advance(self, until: Fraction) -> None:
        """Copy what belongs before a time of the source [s]."""
        while self._waiting is not None and _packet_time(self._waiting) < until:
            self._write(self._waiting, None)
            self._waiting = self._next()

    def finish(self, until: Fraction | None) -> None:
        """Copy the rest: up to a time of the source [s], or all of it.

        Raises:
            InputError: The source has changed since it was opened.
        """
        while self._waiting is not None:
            time = _packet_time(self._waiting)
            if until is None or time < until:
                self._write(self._waiting, until)
            elif time > until + _INTERLEAVING:
                break
            self._waiting = self._next()
        for index, sound in self._sounds.items():
            self._mux(index, sound.finish())
        for index, text in self._texts.items():
            self._mux(index, text.finish())
        check_unchanged(self._source, self._state)

    def close(self) -> None:
        """Close the source."""
        self._waiting = None
        if self._packets is not None:
            self._packets.close()
            self._packets = None
        self._container.close()
        self._remarks.say()

    def _next(self) -> Packet[Stream] | None:
        return None if self._packets is None else next(self._packets, None)

    def _read(self, streams: list[Stream]) -> Generator[Packet[Stream], None, None]:
        """Read the packets of some streams, with times that the output takes."""
        is_strict = self._output.format.name in ("mp4", "mov")
        lead_ins = {
            stream.index: LeadIn(_LEAD_IN if is_strict else None)
            for stream in streams
            if stream.type == "audio"
        }
        times = {stream.index: _track_times(stream, is_strict=is_strict) for stream in streams}
        video = find_video_stream(self._container, self._source)
        clock = file_clock(self._container, video, self._origin)
        packets = read_packets(self._container, streams, self._source, clock)
        with closing(packets):
            for packet in packets:
                index = packet.stream_index
                if packet.dts is None and packet.pts is None and packet.size == 0:
                    continue  # PyAV marks the end of a stream so
                for kept in lead_ins[index].add(packet) if index in lead_ins else [packet]:
                    yield from times[index].add(kept)
        for index, track in times.items():
            yield from track.finish()
            self._remarks.add(_BACKWARD, index, track.backward)

    def _write(self, packet: Packet[Stream], end: Fraction | None) -> None:
        index = packet.stream_index
        time_base = packet.time_base
        assert packet.pts is not None
        assert packet.dts is not None
        end = self._limit if end is None else end
        if index in self._sounds:
            self._mux(index, self._sounds[index].convert(packet, end))
            return
        is_text = codec_name(packet.stream) in TEXT_SUBTITLES
        # Nothing is shown before the first moment; sound may begin earlier, to be decoded.
        start = Fraction(0) if self._start is None and is_text else self._start
        if start is not None:
            late = start - packet.pts * time_base
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
        if index in self._texts:
            self._mux(index, self._texts[index].convert(packet))
            return
        if self._start is not None:
            shift = round(self._start / time_base)
            packet.pts = (packet.pts or 0) - shift
            packet.dts = (packet.dts or 0) - shift
        self._mux(index, (packet,))

    def _mux(self, index: int, packets: Iterable[Packet[Stream]]) -> None:
        for packet in packets:
            packet.stream = self._targets[index]
            self._output.mux_one(packet)


def _track_times(stream: Stream, *, is_strict: bool) -> TrackTimes:
    """Return what settles a track's times.

    Those of sound are in units of samples where mp4 and mov keep them so, or where these are
    finer: what rises in them rises in the file.
    """
    unit = stream.time_base or Fraction(1, 1000)
    is_sound = stream.type == "audio"
    context = getattr(stream, "codec_context", None)
    if is_sound and context is not None and context.sample_rate:
        sample = Fraction(1, context.sample_rate)
        unit = sample if is_strict else min(unit, sample)
    return TrackTimes(unit=unit, rises=is_sound)


def _packet_time(packet: Packet[Stream]) -> Fraction:
    return (packet.pts or 0) * packet.time_base
