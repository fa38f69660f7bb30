"""One stream of a file, as a clock sees it: packets with times that should follow each other."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Protocol

LONGEST_GAP: Final = 10
"""[s] In a transport stream; FFmpeg's limit, too (-dts_delta_threshold)."""

LONGEST_SHOWN: Final = 10**6
"""[s] Nothing is shown or heard for weeks: what claims more says nothing of its length."""

# Decoding times are often guessed, and guessed wrong by a few reordered pictures.
_PICTURE_SLACK: Final = 5
_SOUND_SLACK: Final = 1


class Timed(Protocol):
    """What a clock looks at in a packet, and what it sets: `pts` and `dts`."""

    pts: int | None
    dts: int | None

    @property
    def stream_index(self) -> int: ...

    @property
    def duration(self) -> int | None: ...

    @property
    def size(self) -> int: ...

    @property
    def is_discard(self) -> bool: ...


def decoded_at(packet: Timed) -> int | None:
    """When a packet is decoded: what rises in every file."""
    return packet.pts if packet.dts is None else packet.dts


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackKind:
    """What a clock must know of a stream."""

    unit: Fraction
    """Its time base [s]."""

    is_picture: bool = False
    is_sound: bool = False

    @property
    def leads(self) -> bool:
        """Whether it tells the time; other streams follow."""
        return self.is_picture or self.is_sound


@dataclass(slots=True)
class Track:
    """Where one stream is: in its own units, on the clock that it follows."""

    kind: TrackKind
    epoch: int = 0
    """Which of the file's clocks that is."""

    last: int | None = None
    """When its last packet is decoded."""

    step: int = 0
    """From one packet to the next."""

    end: int = 0
    """When all that was seen of it has been shown."""

    @property
    def due(self) -> int:
        return (self.last or 0) + self.step

    @property
    def longest_gap(self) -> int:
        return LONGEST_GAP * self.kind.unit.denominator // self.kind.unit.numerator

    @property
    def slack(self) -> int:
        return _PICTURE_SLACK if self.kind.is_picture else _SOUND_SLACK

    def goes_back(self, time: int, *, slack: int = 0) -> bool:
        return self.last is not None and time < self.last - slack * self.step

    def take_note(self, packet: Timed, time: int) -> None:
        duration = packet.duration or 0
        if 0 < duration * self.kind.unit <= LONGEST_SHOWN:
            self.step = duration
        elif self.last is not None and time > self.last:
            self.step = time - self.last
        shown = (time if packet.pts is None else packet.pts) + self.step
        self.end = shown if self.last is None else max(shown, self.end)
        self.last = time
