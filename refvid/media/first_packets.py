"""A look at the start of a video: its first picture, and how its frames follow each other."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from refvid.errors import InputError
from refvid.media.container import input_errors, set_up_decoder
from refvid.media.packets import file_clock, find_origin, read_packets

# Packets looked at where the container tells the frame rate badly or not at all.
_PROBED_PACKETS: Final = 64
_MOST_REORDERED: Final = 16
_ALPHA: Final = (1).to_bytes(8)  # BlockAddID of the transparency of VP8 and VP9


@dataclass(slots=True)
class FirstPackets:
    """What they show."""

    picture: av.VideoFrame
    timestamps: list[int]
    """Of the first frames, on the file's own clock, in order of display; of decoding where there
    are no others."""

    origin: Fraction
    """When picture or sound begin on the file's own clock [s]."""

    has_alpha: bool
    """Whether transparency lies beside the pictures."""

    @property
    def repeats_times(self) -> bool:
        """Whether the time base is too coarse for the frame rate."""
        return any(later == earlier for earlier, later in pairwise(self.timestamps))

    @property
    def start(self) -> int:
        """When the first picture is shown, on the file's own clock."""
        if self.picture.pts is not None:
            return self.picture.pts
        return self.timestamps[0] if self.timestamps else 0


@dataclass(slots=True)
class _Times:
    shown: list[int] = field(default_factory=list)
    decoded: list[int] = field(default_factory=list)

    def add(self, packet: Packet[Stream]) -> None:
        if packet.is_discard or not packet.size:
            return
        if packet.pts is not None:
            self.shown.append(packet.pts)
        if packet.dts is not None:
            self.decoded.append(packet.dts)

    @property
    def count(self) -> int:
        return max(len(self.shown), len(self.decoded))

    def first(self) -> list[int]:
        """Return the first ones, in order."""
        times = self.shown if len(self.shown) >= len(self.decoded) else self.decoded
        # Packets come in order of decoding: at the cut, some that are shown earlier are missing.
        return sorted(times)[: _PROBED_PACKETS - _MOST_REORDERED]


def read_first_packets(container: InputContainer, stream: VideoStream, path: Path) -> FirstPackets:
    """Read until the first picture and some frame times are known.

    Raises:
        InputError: No picture can be decoded, or the video is encrypted.
    """
    times = _Times()
    picture: av.VideoFrame | None = None
    last_error: av.FFmpegError | None = None
    has_alpha = "alpha_mode" in {key.lower() for key in stream.metadata}
    set_up_decoder(stream, threads=False)
    clock = file_clock(container, stream)
    with (
        input_errors(path),
        closing(read_packets(container, [stream], path, clock)) as packets,
    ):
        for packet in packets:
            if packet.has_sidedata("encryption_info"):
                raise InputError(f"{path} is encrypted. Only who has its key can work on it.")
            if picture is None:
                try:
                    pictures = packet.decode()
                except av.FFmpegError as error:  # the start of a recording may be cut off
                    last_error = error
                else:
                    picture = next((p for p in pictures if isinstance(p, av.VideoFrame)), None)
            times.add(packet)
            has_alpha = has_alpha or _adds_alpha(packet, stream)
            if picture is not None and times.count >= _PROBED_PACKETS:
                break
    if picture is None:
        raise InputError(
            f"{path}: no frame could be decoded. The file is damaged or cut off."
        ) from last_error
    timestamps = times.first()
    return FirstPackets(
        picture=picture,
        timestamps=timestamps,
        origin=find_origin(container, stream, timestamps[0] if timestamps else None, clock),
        has_alpha=has_alpha,
    )


def _adds_alpha(packet: Packet[Stream], stream: VideoStream) -> bool:
    if stream.codec_context.codec.canonical_name not in ("vp8", "vp9"):
        return False
    return bytes(packet.get_sidedata("matroska_block_additional"))[:8] == _ALPHA
