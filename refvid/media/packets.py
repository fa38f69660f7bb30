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

from refvid.media.clock import FileClock
from refvid.media.clock_track import LONGEST_GAP, TrackKind
from refvid.media.container import input_errors
from refvid.media.programmes import foreign_streams
from refvid.media.remarks import Remarks

_DISCONTINUOUS: Final = 0x0200  # AVFMT_TS_DISCONT
_JUMPS: Final = "places where its clock is set anew, joined without a gap: {count}"
_WRONG: Final = "packets with nonsensical times, for which others are made: {count}"


def file_clock(
    container: InputContainer, video: VideoStream, origin: Fraction = Fraction(0)
) -> FileClock[Packet[Stream]]:
    """Return the clock by which all streams of a file are read.

    Args:
        container: The file.
        video: The stream that is worked on.
        origin: The time of the file's own clock that becomes 0 [s].
    """
    foreign = foreign_streams(container, video)
    return FileClock(
        kinds={
            stream.index: _kind(stream, video, is_foreign=stream.index in foreign)
            for stream in container.streams
        },
        origin=origin,
        bridges_gaps=bool(container.format.flags & _DISCONTINUOUS),
    )


def find_origin(
    container: InputContainer,
    video: VideoStream,
    shown: int | None,
    clock: FileClock[Packet[Stream]],
) -> Fraction:
    """Return the time of a file's own clock at which picture or sound begin [s].

    Args:
        container: The file.
        video: The stream that is worked on.
        shown: When its first frame is shown, in units of its time base.
        clock: By which the start of the file was read.

    Returns:
        It lies on the grid of the video's times, which so stay exact.
    """
    unit = video.time_base or Fraction(1, 1000)
    starts = [] if shown is None else [shown * unit]
    for stream in container.streams.audio:
        if stream.start_time is None or not stream.time_base:
            continue
        if not clock.kinds[stream.index].leads:
            continue
        # Of what is heard: its first packet may only be there to be decoded.
        start = stream.start_time * stream.time_base
        read = clock.starts.get(stream.index, start if not starts else starts[0])
        starts.append(start if abs(start - read) <= LONGEST_GAP else read)
    return floor(min(starts, default=Fraction(0)) / unit) * unit


def read_packets(
    container: InputContainer,
    wanted: Sequence[Stream],
    path: Path,
    clock: FileClock[Packet[Stream]],
    *,
    remarks: Remarks | None = None,
) -> Generator[Packet[Stream], None, None]:
    """Read packets in order of the file, with times of one clock that starts at 0.

    Everybody who reads a file gets the same times, whichever streams he is after.

    Args:
        container: An open file from which nothing was read.
        wanted: The streams to give.
        path: For messages.
        clock: A new one, see `file_clock`.
        remarks: Where to say what was wrong with the times; None keeps quiet.

    Yields:
        Packets; empty ones, at the end, flush a decoder.

    Raises:
        InputError: The file is damaged.
    """
    # Made-up presentation times would be taken for real ones: AVI has decoding times only.
    container.flags &= ~cast("int", Flags.gen_pts.value)
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


def _kind(stream: Stream, video: VideoStream, *, is_foreign: bool) -> TrackKind:
    return TrackKind(
        unit=stream.time_base or Fraction(1, 1000),
        is_picture=stream.index == video.index,
        is_sound=stream.type == "audio" and not is_foreign,  # which has a clock of its own
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
