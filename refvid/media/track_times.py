"""Times of copied packets, as muxers want them: none is missing, and those of sound rise."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from av.packet import Packet
from av.stream import Stream

from refvid.media.clock_track import LONGEST_SHOWN

_MOST_HELD: Final = 256
"""Packets that wait for a later one: a millisecond holds about two of the shortest."""


@dataclass(slots=True)
class TrackTimes:
    """Settles the times of one track's packets, in order of the file.

    A container with coarse times gives short packets of sound equal ones, which the mp4 muxer
    refuses: they are spread up to the next. Lines of text may begin together.
    """

    unit: Fraction
    """The unit of the times that come out [s]."""

    rises: bool
    """Whether every packet must be later than the one before."""

    backward: int = field(init=False, default=0)
    """How many packets went back in time."""

    _waiting: list[Packet[Stream]] = field(init=False, default_factory=list)
    _last: int | None = field(init=False, default=None)
    _coarseness: int = field(init=False, default=1)
    """How many of the units make one of the container's."""

    _due: int = field(init=False, default=0)

    def add(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """Take the next packet; give those whose times are settled."""
        self._rescale(packet)
        time = self._due if packet.dts is None else packet.dts
        self._due = time + (packet.duration or 0)
        if self._last is not None and time < self._last:
            self.backward += 1
        if self._last is None or time > self._last:
            return self._settle(packet, time)
        if not self.rises:
            return self._settle(packet, self._last)
        self._waiting.append(packet)
        return self.finish() if len(self._waiting) >= _MOST_HELD else []

    def finish(self) -> list[Packet[Stream]]:
        """Give the packets that wait for a later one: each as long as it says, or all of them
        before the time could be another in the container's own units.
        """
        settled, self._waiting = self._waiting, []
        step = max(1, self._coarseness // (len(settled) + 1))
        for packet in settled:
            assert self._last is not None
            packet.duration = packet.duration or step
            self._last += packet.duration
            _move(packet, self._last)
        return settled

    def _settle(self, packet: Packet[Stream], time: int) -> list[Packet[Stream]]:
        settled, self._waiting = self._waiting, []
        if settled:
            assert self._last is not None
            # As far apart as there is room, and at least one tick.
            time = max(time, self._last + len(settled) + 1)
            span = time - self._last
            for position, waiting in enumerate(settled, start=1):
                _move(waiting, self._last + span * position // (len(settled) + 1))
        _move(packet, time)
        if self.rises and not packet.duration and self._last is not None:
            # The last one of a file would not be played without.
            packet.duration = (time - self._last) // (len(settled) + 1)
        self._last = time
        return [*settled, packet]

    def _rescale(self, packet: Packet[Stream]) -> None:
        scale = packet.time_base / self.unit
        if packet.dts is None:
            packet.dts = packet.pts
        self._coarseness = int(scale)
        duration = packet.duration or 0
        if not 0 <= duration * packet.time_base <= LONGEST_SHOWN:
            packet.duration = duration = 0
        if scale != 1:
            packet.pts = None if packet.pts is None else round(packet.pts * scale)
            packet.dts = None if packet.dts is None else round(packet.dts * scale)
            packet.duration = round(duration * scale)
            packet.time_base = self.unit


def _move(packet: Packet[Stream], time: int) -> None:
    """Set when a packet is decoded; it is shown as much later as before."""
    delay = 0 if packet.pts is None or packet.dts is None else packet.pts - packet.dts
    packet.dts, packet.pts = time, time + delay


@dataclass(slots=True)
class LeadIn:
    """Leaves out what an edit list hides, but for what a decoder needs to start with.

    In Matroska it would be heard: there is no edit list. In mp4 and mov a result's own hides it.
    """

    longest: Fraction | None
    """How much of it to keep [s]; None keeps one packet, unless the next begins early, too."""

    _hidden: deque[Packet[Stream]] = field(init=False, default_factory=deque)
    _has_begun: bool = field(init=False, default=False)

    def add(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """Take the next packet of the track; give those to be kept."""
        if not packet.is_discard:
            self._has_begun = True
            kept, self._hidden = self._hidden, deque()
            begins_early = packet.pts is not None and packet.pts < 0
            return [packet] if self.longest is None and begins_early else [*kept, packet]
        if not self._has_begun:
            self._hidden.append(packet)
            while len(self._hidden) > 1 and self._is_long():
                self._hidden.popleft()
        return []

    def _is_long(self) -> bool:
        if self.longest is None:
            return True
        # The second is early enough: the first is not needed.
        second, last = self._hidden[1], self._hidden[-1]
        span = (last.pts or 0) + (last.duration or 0) - (second.pts or 0)
        return span * last.time_base >= self.longest
