"""Text subtitles from one codec to another, every line at its time."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

from refvid.media.container import input_errors

# In mp4 and mov one sample follows another: what is shown at the same time is one sample.
_ONE_AT_A_TIME: Final = frozenset({"mov_text"})
_MILLISECOND: Final = Fraction(1, 1000)
_FLICKER_MS: Final = 500
"""Lines shown together whose ends are closer than this end together."""

_UNKNOWN_DURATION_MS: Final = 5000
_FIELDS_BEFORE_TEXT: Final = 8
_STYLE_FIELD: Final = 2


class _Line(NamedTuple):
    """One line of text [ms]."""

    start: int
    end: int | None
    """None: until the next line."""

    event: bytes
    """Its fields and text in ASS, of which the codecs speak to each other."""


class SubtitleConverter:
    """Decodes a track's packets and encodes them for a container that does not hold them.

    Args:
        source: The track, of a file that is open.
        target: From `add_target`, with an encoder.
        path: The source's file, for messages.
    """

    def __init__(self, source: SubtitleStream, target: SubtitleStream, path: Path) -> None:
        self._source, self._target, self._path = source, target, path
        self._start = Fraction(0)
        self._joins = target.codec_context.name in _ONE_AT_A_TIME
        self._shown: list[_Line] = []
        """The lines on the screen at `_now`, where they are joined."""

        self._now = 0

    def begin(self, start: Fraction | None) -> None:
        """Fix the time of the source that becomes 0 [s]; None keeps all times."""
        self._start = start or Fraction(0)

    def convert(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """Take the next packet of the source, and give those of the result that are ready.

        Raises:
            InputError: It is damaged.
        """
        with input_errors(self._path, "decode the subtitles of"):
            subtitle = self._source.codec_context.decode2(packet)
        events = [part.ass for part in subtitle or () if isinstance(part, AssSubtitle)]
        if not events or packet.pts is None:
            return  # a gap between two lines
        start = self._milliseconds(packet.pts * packet.time_base)
        duration = round((packet.duration or 0) * packet.time_base / _MILLISECOND)
        # Lines of a file may be out of order; what was written cannot be changed.
        end = max(start + duration, self._now + 1) if duration else None
        line = _Line(max(start, self._now), end, _join(events))
        if not self._joins:
            yield self._encode(line.start, line.end, line.event)
            self._now = line.start
            return
        yield from self._show_until(line.start)
        self._shown.append(line)

    def finish(self) -> Iterator[Packet[Stream]]:
        """Give the lines that were still shown."""
        yield from self._show_until(None)

    def _milliseconds(self, time: Fraction) -> int:
        return max(0, round((time - self._start) / _MILLISECOND))

    def _show_until(self, time: int | None) -> Iterator[Packet[Stream]]:
        """Write what is shown from `_now` on, whenever it changes, up to a time or the end."""
        while self._shown and (time is None or self._now < time):
            unknown = self._now + _UNKNOWN_DURATION_MS if time is None else time
            ends = [unknown if line.end is None else line.end for line in self._shown]
            end = max(each for each in ends if each < min(ends) + _FLICKER_MS)
            if time is not None:
                end = min(end, time)
            yield self._encode(self._now, end, _join([line.event for line in self._shown]))
            pairs = zip(self._shown, ends, strict=True)
            self._shown = [line for line, each in pairs if each > end]
            self._now = end
        if time is not None:
            self._now = time

    def _encode(self, start: int, end: int | None, event: bytes) -> Packet[Stream]:
        duration = 0 if end is None else max(0, end - start)
        subtitle = SubtitleSet.create(event, start=0, end=duration, pts=start * 1000)
        packet: Packet[Stream] = self._target.codec_context.encode_subtitle(subtitle)
        packet.time_base = _MILLISECOND
        packet.pts = packet.dts = start
        packet.duration = duration
        return packet


def _join(events: list[bytes]) -> bytes:
    """Put events below each other in one, each in its own style."""
    first, *others = events
    for event in others:
        fields = event.split(b",", _FIELDS_BEFORE_TEXT)
        first += b"\\N{\\r" + fields[_STYLE_FIELD] + b"}" + fields[-1]
    return first
