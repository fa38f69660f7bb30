"""Encoded packets of one stretch of video in a file, as they left the encoder."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from av.packet import Packet
from av.video.stream import VideoStream

_HEAD: Final = struct.Struct("<qqqI?")
"""Times of showing and of decoding, duration, size [bytes], whether it is a key frame."""

_UNKNOWN: Final = -(2**63)
"""Stands for a time that is not told."""


class PacketFile:
    """Takes packets in the order of decoding; their times stay in the encoder's unit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")

    def add(self, packet: Packet[VideoStream]) -> None:
        """Write a packet, before a container has seen it."""
        times = (_UNKNOWN if time is None else time for time in (packet.pts, packet.dts))
        head = _HEAD.pack(*times, packet.duration or 0, packet.size, packet.is_keyframe)
        self._file.write(head)
        self._file.write(bytes(packet))

    def close(self) -> None:
        """Hand all to the system. May be called twice."""
        self._file.close()


def read_packets(path: Path, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Give what a `PacketFile` has written, for a stream whose encoder is set up alike."""
    with path.open("rb") as file:
        while head := file.read(_HEAD.size):
            pts, dts, duration, size, is_key = _HEAD.unpack(head)
            packet = cast("Packet[VideoStream]", Packet(file.read(size)))
            packet.stream = stream
            packet.time_base = stream.codec_context.time_base
            packet.pts = None if pts == _UNKNOWN else pts
            packet.dts = None if dts == _UNKNOWN else dts
            packet.duration = duration
            packet.is_keyframe = is_key
            yield packet
