"""Programmes of a transport stream: channels that share a file, each with a clock of its own.

Receivers record several at once. PyAV knows nothing of them: the tables of the file are read here
(ISO/IEC 13818-1, section 2.4.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from av.container import InputContainer
from av.stream import Stream

_LOOKED_AT: Final = 2**22
"""Bytes at the start of a file: the tables come several times a second."""

_SYNC: Final = 0x47
_PACKET: Final = 188
_STEPS: Final = (188, 192, 204)
_SURE: Final = 8
"""Packets by which their grid is found."""

_BROKEN, _STARTS = 0x80, 0x40
_HAS_ADAPTATION, _HAS_PAYLOAD = 0x20, 0x10
_TABLES: Final = 0
"""Where the list of programmes is, by its number (PID)."""

_PROGRAMMES, _PROGRAMME = 0, 2
"""Kinds of tables."""

_STUFFING: Final = 0xFF
_CHECKSUM: Final = 4


def foreign_streams(container: InputContainer, video: Stream) -> frozenset[int]:
    """Indices of the streams that belong to other programmes than a video, by the file's tables.

    Returns:
        None of them where there is one programme, or where the tables say nothing.
    """
    if container.format.name != "mpegts" or len(container.streams) == 1:
        return frozenset()
    path = Path(container.name.removeprefix("file:"))
    if not path.is_file():
        return frozenset()
    with path.open("rb") as file:
        programmes = read_programmes(file.read(_LOOKED_AT))
    own = {number for one in programmes if video.id in one for number in one}
    others = {number for one in programmes for number in one} - own if own else set()
    return frozenset(stream.index for stream in container.streams if stream.id in others)


def read_programmes(data: bytes) -> list[set[int]]:
    """The numbers (PIDs) of the streams of every programme, from the start of a stream."""
    found: dict[int, set[int]] = {}
    wanted: dict[int, bytearray | None] = {_TABLES: None}
    for packet in _packets(data):
        number = (packet[1] & 0x1F) << 8 | packet[2]
        if number not in wanted or packet[1] & _BROKEN or not packet[3] & _HAS_PAYLOAD:
            continue
        payload = packet[5 + packet[4] if packet[3] & _HAS_ADAPTATION else 4 :]
        if packet[1] & _STARTS and payload:
            wanted[number] = bytearray(payload[1 + payload[0] :])
        elif (begun := wanted[number]) is not None:
            begun += payload
        for table in _whole(wanted[number]):
            if number == _TABLES and table[0] == _PROGRAMMES:
                for place in _fours(table[8:-_CHECKSUM]):
                    wanted.setdefault(place, None)
            elif table[0] == _PROGRAMME:
                found[number] = set(_streams(table))
        if len(found) == len(wanted) - 1 > 0:
            break
    return list(found.values())


def _packets(data: bytes) -> Iterator[bytes]:
    for step in _STEPS:
        for phase in range(step):
            if data[phase : phase + step * _SURE : step] == bytes([_SYNC]) * _SURE:
                starts = range(phase, len(data) - _PACKET + 1, step)
                yield from (data[start : start + _PACKET] for start in starts)
                return


def _whole(begun: bytearray | None) -> Iterator[bytes]:
    """Take the tables that are all there."""
    while begun is not None and len(begun) >= 3 and begun[0] != _STUFFING:
        length = 3 + ((begun[1] & 0x0F) << 8 | begun[2])
        if len(begun) < length:
            return
        yield bytes(begun[:length])
        del begun[:length]


def _fours(entries: bytes) -> Iterator[int]:
    """Where the tables of programmes are; number 0 is no programme."""
    for at in range(0, len(entries) - 3, 4):
        if entries[at : at + 2] != b"\0\0":
            yield (entries[at + 2] & 0x1F) << 8 | entries[at + 3]


def _streams(table: bytes) -> Iterator[int]:
    at = 12 + ((table[10] & 0x0F) << 8 | table[11]) if len(table) >= 12 else len(table)
    while at + 5 <= len(table) - _CHECKSUM:
        yield (table[at + 1] & 0x1F) << 8 | table[at + 2]
        at += 5 + ((table[at + 3] & 0x0F) << 8 | table[at + 4])
