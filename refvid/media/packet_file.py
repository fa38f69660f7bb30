"""Encoded packets of one stretch of video in a file, as they left the encoder.

Before each packet stand a few small numbers, most of them as differences to the packet before: what
is kept twice for a while must not take more than its container takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from av.packet import Packet
from av.video.stream import VideoStream

_IS_KEY: Final = 1
_IS_TIMED: Final = 2
"""Whether the time of decoding is told."""


class PacketFile:
    """Takes packets in the order of decoding; their times stay in the encoder's unit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._dts = self._duration = 0

    def add(self, packet: Packet[VideoStream]) -> None:
        """Write a packet, before a container has seen it."""
        flags = _IS_KEY * packet.is_keyframe + _IS_TIMED * (packet.dts is not None)
        dts, duration = packet.dts or 0, packet.duration or 0
        head = _unsigned(packet.size << 2 | flags)
        head += _signed(dts - self._dts)
        head += _signed((packet.pts or 0) - dts)
        head += _signed(duration - self._duration)
        self._dts, self._duration = dts, duration
        self._file.write(head)
        self._file.write(bytes(packet))

    def close(self) -> None:
        """Hand all to the system. May be called twice."""
        self._file.close()


def read_packets(path: Path, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Give what a `PacketFile` has written, for a stream whose encoder is set up alike."""
    dts = duration = 0
    with path.open("rb") as file:
        while (first := _read_unsigned(file)) is not None:
            size, flags = first >> 2, first & 3
            dts += _read_signed(file)
            pts = dts + _read_signed(file)
            duration += _read_signed(file)
            packet = cast("Packet[VideoStream]", Packet(file.read(size)))
            packet.stream = stream
            packet.time_base = stream.codec_context.time_base
            packet.pts = pts
            packet.dts = dts if flags & _IS_TIMED else None
            packet.duration = duration
            packet.is_keyframe = bool(flags & _IS_KEY)
            yield packet


def _unsigned(value: int) -> bytes:
    """Seven bits in each byte, the lowest first; all but the last are marked."""
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _signed(value: int) -> bytes:
    """The sign is the lowest bit, so that small numbers are short."""
    return _unsigned(value << 1 if value >= 0 else (-value << 1) - 1)


def _read_unsigned(file: BinaryIO) -> int | None:
    """Return None at the end of the file."""
    value = shift = 0
    while byte := file.read(1):
        value |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            return value
    return None


def _read_signed(file: BinaryIO) -> int:
    value = _read_unsigned(file) or 0
    return -((value + 1) >> 1) if value & 1 else value >> 1
