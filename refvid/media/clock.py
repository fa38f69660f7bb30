"""One clock for everything in a file: it starts at 0 and never jumps.

Recordings are cut from a running clock, joined from several, or written by a device whose clock
was set anew in between. What is written has one time line, the same for all streams.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final, Generic, TypeVar

from refvid.media.clock_track import LONGEST_GAP, Timed, Track, TrackKind, decoded_at

T = TypeVar("T", bound=Timed)

_ALIKE: Final = 1
"""[s] By which streams of one recording may differ where its clock jumps."""

_LATEST: Final = 2**30
"""[s] More is nonsense, and would not fit into 64 bits in the finest of units."""

# How far to look ahead where a time jumps: it could be one wrong packet, or all of the streams.
_ENOUGH_PACKETS: Final = 16
_ENOUGH_SECONDS: Final = 1
_MOST_WRONG: Final = 4
_LOOK_EVERY: Final = 8
_MOST_HELD: Final = 1000
_MOST_BYTES: Final = 2**25


@dataclass(frozen=True, slots=True)
class _Verdict:
    """About a packet whose time is not what it should be."""

    epoch: int | None = None
    """From it on, its stream follows this clock."""

    is_wrong: bool = False
    """Its time is nonsense. Otherwise it is late, and right."""


@dataclass(slots=True)
class FileClock(Generic[T]):
    """Turns the times of a file's packets into times of one clock.

    Packets go in in order of the file, and come out in that order with new times, some of them
    later. Packets without times keep none, and those whose time is nonsense lose it.
    """

    kinds: Mapping[int, TrackKind]
    """Of every stream, by its index."""

    origin: Fraction = Fraction(0)
    """When the file's own clock begins [s]."""

    bridges_gaps: bool = False
    """Whether a long gap in all streams is a jump, as in transport streams; else it stays."""

    jumps: int = field(init=False, default=0)
    """How often the clock was set anew."""

    wrong: int = field(init=False, default=0)
    """How many packets had a time that is nonsense."""

    starts: dict[int, Fraction] = field(init=False, default_factory=dict)
    """When the first packet of each stream is decoded, of those that lead [s]."""

    _tracks: dict[int, Track] = field(init=False)
    _shifts: list[Fraction] = field(init=False)
    """What is added to the times of each clock [s]."""

    _held: deque[T] = field(init=False, default_factory=deque)
    _held_bytes: int = field(init=False, default=0)
    _verdicts: dict[int, _Verdict] = field(init=False, default_factory=dict)
    _now: Fraction = field(init=False, default=Fraction(0))

    def __post_init__(self) -> None:
        self._tracks = {index: Track(kind) for index, kind in self.kinds.items()}
        self._shifts = [-self.origin]

    def add(self, packet: T) -> Iterator[T]:
        """Take the next packet of the file; give those whose times are settled."""
        self._held.append(packet)
        self._held_bytes += packet.size
        return self._settled(is_end=False)

    def finish(self) -> Iterator[T]:
        """Give what is still held back."""
        return self._settled(is_end=True)

    def _settled(self, *, is_end: bool) -> Generator[T, None, None]:
        while self._held:
            packet = self._held[0]
            verdict = self._verdicts.pop(id(packet), None)
            if verdict is None and self._is_odd(packet):
                if not is_end and not self._has_seen_enough(packet):
                    return
                self._judge(packet)
                continue
            self._held.popleft()
            self._held_bytes -= packet.size
            self._set(packet, verdict)
            yield packet

    def _is_odd(self, packet: T) -> bool:
        """Whether a packet's time goes back, or ahead of all streams."""
        track = self._tracks[packet.stream_index]
        time = decoded_at(packet)
        if time is None or not track.kind.leads or packet.is_discard:
            return False
        if track.last is None:
            return self._is_elsewhere(time, track)
        if _is_only_shown(packet, track):
            return False
        return track.goes_back(time) or self._is_far_ahead(time, track)

    def _is_elsewhere(self, time: int, track: Track) -> bool:
        """Whether a stream begins at another time than the others have come to."""
        if not self.bridges_gaps or not self.starts:
            return False
        shown = time * track.kind.unit
        return abs(shown + self._shifts[self._nearest_epoch(shown)] - self._now) > LONGEST_GAP

    def _is_far_ahead(self, time: int, track: Track) -> bool:
        if time - track.due <= track.longest_gap:
            return False
        # The others may have gone on while this one was silent.
        ahead = time * track.kind.unit + self._shifts[track.epoch] - self._now
        return ahead > LONGEST_GAP

    def _has_seen_enough(self, odd: T) -> bool:
        """Whether what follows an odd packet shows if it is alone."""
        if len(self._held) >= _MOST_HELD or self._held_bytes >= _MOST_BYTES:
            return True
        if len(self._held) % _LOOK_EVERY:
            return False
        track = self._tracks[odd.stream_index]
        following = sum(held.stream_index == odd.stream_index for held in self._held)
        if not self.bridges_gaps and not track.goes_back(decoded_at(odd) or 0):
            return following > 1
        if track.last is None:
            return following >= _ENOUGH_PACKETS
        return following >= _ENOUGH_PACKETS and all(
            self._first_jump(index) is not None or self._goes_on(index)
            for index, other in self._tracks.items()
            if other.kind.leads and other.last is not None
        )

    def _goes_on(self, index: int) -> bool:
        track = self._tracks[index]
        ahead = max((time - track.due for _, time in self._held_of(index)), default=0)
        return ahead * track.kind.unit >= _ENOUGH_SECONDS

    def _held_of(self, index: int) -> list[tuple[T, int]]:
        """List the packets of a stream that are held back, with their times."""
        track = self._tracks[index]
        return [
            (packet, time)
            for packet in self._held
            if packet.stream_index == index and not packet.is_discard
            if not _is_only_shown(packet, track)
            if (time := decoded_at(packet)) is not None
        ]

    def _first_jump(self, index: int) -> tuple[int, Track] | None:
        """Find where a stream's time jumps among what is held back.

        Returns:
            The position in `_held_of(index)`, and the stream's state before that packet.
        """
        track = replace(self._tracks[index])
        for position, (packet, time) in enumerate(self._held_of(index)):
            if track.goes_back(time) or (
                track.last is not None and self._is_far_ahead(time, track)
            ):
                return position, track
            track.take_note(packet, time)
        return None

    def _judge(self, odd: T) -> None:
        """Decide about an odd packet, and about other streams that jump with it."""
        index = odd.stream_index
        track = self._tracks[index]
        if track.last is None:
            self._judge_first(index, track)
            return
        goes_back = track.goes_back(decoded_at(odd) or 0)
        seam = self._seam(index, 0, track)
        # So little may be an error of the container or its reader, unless others agree.
        is_jitter = goes_back and not track.goes_back(decoded_at(odd) or 0, slack=track.slack)
        alike = track.slack * track.step * track.kind.unit if is_jitter else Fraction(_ALIKE)
        late = self._newer_epoch(track, seam, alike)
        if late is not None:
            self._verdicts[id(odd)] = _Verdict(epoch=late)
            return
        beside = self._seams_beside(index, seam, alike)
        wrong = [] if is_jitter else self._wrong_packets(index)
        if wrong:
            self._verdicts.update((id(packet), _Verdict(is_wrong=True)) for packet in wrong)
        elif (is_jitter and not beside) or not (goes_back or self.bridges_gaps):
            self._verdicts[id(odd)] = _Verdict()
        else:
            # The latest: nothing of any stream may lie on what was before.
            self._shifts.append(max([seam, *beside.values()]))
            self.jumps += 1
            jump = _Verdict(epoch=len(self._shifts) - 1)
            self._verdicts.update(dict.fromkeys([id(odd), *beside], jump))

    def _judge_first(self, index: int, track: Track) -> None:
        """Decide about a stream that begins on a clock of its own."""
        held = self._held_of(index)
        first, first_time = held[0]
        unit = track.kind.unit
        self._verdicts[id(first)] = _Verdict(epoch=len(self._shifts))
        self.jumps += 1
        for count, (packet, time) in enumerate(held):
            if not self._is_elsewhere(time, track):
                # What comes before is left from another clock: it ends where this one goes on.
                epoch = self._nearest_epoch(time * unit)
                self._verdicts[id(packet)] = _Verdict(epoch=epoch)
                ticks = time - first_time - count * (first.duration or 0)
                self._shifts.append(self._shifts[epoch] + ticks * unit)
                return
        self._shifts.append(self._now - first_time * unit)

    def _newer_epoch(self, track: Track, seam: Fraction, alike: Fraction) -> int | None:
        """Return the clock that other streams follow already, if a stream's jump leads there."""
        for epoch in range(len(self._shifts) - 1, track.epoch, -1):
            if abs(self._shifts[epoch] - seam) <= alike:
                return epoch
        return None

    def _seams_beside(self, index: int, seam: Fraction, alike: Fraction) -> dict[int, Fraction]:
        """Find the packets at which other streams jump as well, and about as far."""
        found = {}
        for other, track in self._tracks.items():
            jump = self._first_jump(other) if track.kind.leads and other != index else None
            if jump is not None and not self._wrong_packets(other):
                position, before = jump
                shift = self._seam(other, position, before)
                if abs(shift - seam) <= alike:
                    found[id(self._held_of(other)[position][0])] = shift
        return found

    def _wrong_packets(self, index: int) -> list[T]:
        """Where a stream's time jumps, and jumps back: the packets in between."""
        jump = self._first_jump(index)
        if jump is None or not jump[1].step:
            return []
        position, track = jump
        held = self._held_of(index)[position:]
        distance = held[0][1] - track.due
        wrong: list[T] = []
        for count, (packet, time) in enumerate(held):
            without = track.due + count * track.step
            if abs(time - without) < abs(time - (without + distance)):
                return wrong if len(wrong) <= _MOST_WRONG else []
            wrong.append(packet)
        return []

    def _seam(self, index: int, position: int, before: Track) -> Fraction:
        """Return the shift [s] with which a stream goes on from a packet without a gap."""
        held = self._held_of(index)[position:][:_ENOUGH_PACKETS]
        first = latest = held[0][1]
        shown = []
        for packet, time in held:
            latest = max(latest, time)
            if time < latest - before.slack * before.step:
                break  # the next jump
            shown.append(time if packet.pts is None else packet.pts)
        ticks = max(before.due - first, before.end - min(shown))
        return self._shifts[before.epoch] + ticks * before.kind.unit

    def _set(self, packet: T, verdict: _Verdict | None) -> None:
        track = self._tracks[packet.stream_index]
        if verdict is not None and verdict.is_wrong:
            self.wrong += 1
            packet.pts = packet.dts = None
            track.last = track.due
            return
        time = decoded_at(packet)
        if time is None:
            return
        if verdict is not None and verdict.epoch is not None:
            track.epoch, track.last = verdict.epoch, None
        elif track.last is None or not track.kind.leads:
            track.epoch = self._nearest_epoch(time * track.kind.unit)
        shift = self._shifts[track.epoch]
        if track.kind.leads and not packet.is_discard and not _is_only_shown(packet, track):
            track.take_note(packet, time)
            self._now = time * track.kind.unit + shift
            self.starts.setdefault(packet.stream_index, self._now)
        ticks = round(shift / track.kind.unit)
        latest = max(abs(known + ticks) for known in (packet.pts, packet.dts) if known is not None)
        if latest * track.kind.unit > _LATEST:
            self.wrong += 1
            packet.pts = packet.dts = None
            return
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks

    def _nearest_epoch(self, time: Fraction) -> int:
        """Return the clock that puts a time next to what is shown."""
        epochs = range(len(self._shifts))
        return min(epochs, key=lambda epoch: abs(time + self._shifts[epoch] - self._now))


def _is_only_shown(packet: Timed, track: Track) -> bool:
    """Whether only the time is known at which a picture is shown: these times go back and forth.

    Matroska's first pictures are such, until enough of them are seen to tell the rest.
    """
    return packet.dts is None and track.kind.is_picture and track.last is not None
