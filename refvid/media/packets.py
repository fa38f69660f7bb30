"""Reading a file's packets, with times of one clock that starts at 0."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Final, cast

from av.container import InputContainer
from av.container.core import Flags
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from refvid.media.clock import FileClock, TrackKind
from refvid.media.container import input_errors
from refvid.media.remarks import Remarks

_DISCONTINUOUS: Final = 0x0200  # AVFMT_TS_DISCONT
_JUMPS: Final = "places where its clock is set anew, joined without a gap: {count}"
_WRONG: Final = "packets with nonsensical times, for which others are made: {count}"


def find_origin(container: InputContainer, video: VideoStream, shown: int | None) -> Fraction:
    """Return the time of a file's own clock at which picture or sound begin [s].

    Args:
        container: The file.
        video: The stream that is worked on.
        shown: When its first frame is shown, in units of its time base.

    Returns:
        It lies on the grid of the video's times, which so stay exact.
    """
    starts = [
        stream.start_time * stream.time_base
        for stream in container.streams.audio
        if stream.start_time is not None and stream.time_base
    ]
    unit = video.time_base or Fraction(1, 1000)
    if shown is not None:
        starts.append(shown * unit)
    return floor(min(starts, default=Fraction(0)) / unit) * unit


def read_packets(
    container: InputContainer,
    video: VideoStream,
    wanted: Sequence[Stream],
    path: Path,
    *,
    origin: Fraction = Fraction(0),
    remarks: Remarks | None = None,
) -> Generator[Packet[Stream], None, None]:
    """Read packets in order of the file, with times of one clock that starts at 0.

    Everybody who reads a file gets the same times, whichever streams he is after.

    Args:
        container: An open file from which nothing was read.
        video: The stream that is worked on.
        wanted: The streams to give.
        path: For messages.
        origin: The time of the file's own clock that becomes 0 [s].
        remarks: Where to say what was wrong with the times; None keeps quiet.

    Yields:
        Packets; empty ones, at the end, flush a decoder.

    Raises:
        InputError: The file is damaged.
    """
    # Made-up presentation times would be taken for real ones: AVI has decoding times only.
    container.flags &= ~cast("int", Flags.gen_pts.value)
    clock: FileClock[Packet[Stream]] = FileClock(
        kinds={stream.index: _kind(stream, video) for stream in container.streams},
        origin=origin,
        bridges_gaps=bool(container.format.flags & _DISCONTINUOUS),
    )
    indices = {stream.index for stream in wanted}
    leading = [stream for stream in container.streams if clock.kinds[stream.index].leads]
    streams = {stream.index: stream for stream in (*leading, *wanted)}
    try:
        for packet in _settled(container, clock, list(streams.values()), path):
            # Not `packet.stream_index`: in those that flush it is 0, whatever their stream.
            if packet.stream.index in indices:
                yield packet
    finally:
        if remarks is not None:
            remarks.add(_JUMPS, 0, clock.jumps)
            remarks.add(_WRONG, 0, clock.wrong)


def _kind(stream: Stream, video: VideoStream) -> TrackKind:
    return TrackKind(
        unit=stream.time_base or Fraction(1, 1000),
        is_picture=stream.index == video.index,
        is_sound=stream.type == "audio",
    )


def _settled(
    container: InputContainer,
    clock: FileClock[Packet[Stream]],
    streams: list[Stream],
    path: Path,
) -> Iterator[Packet[Stream]]:
    packets = container.demux(*streams)
    flushing = []
    while True:
        with input_errors(path):
            packet = next(packets, None)
        if packet is None:
            break
        if packet.size == 0 and packet.pts is None and packet.dts is None:
            flushing.append(packet)
        else:
            yield from clock.add(packet)
    yield from clock.finish()
    yield from flushing
