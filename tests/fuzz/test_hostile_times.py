"""Times that no clock ever shows: whatever a file claims, nothing fails, hangs or grows."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import av
from hypothesis import given
from hypothesis import strategies as st

from refvid.media.clock import FileClock
from refvid.media.clock_track import TrackKind
from refvid.media.frame_times import FrameTimes
from refvid.media.track_times import TrackTimes

PICTURE, SOUND, TEXT = 0, 1, 2
FITS = 2**63
EDGES = (0, 1, 2**31, 2**32, 2**33, 2**53, 2**56, 2**62, 2**63 - 1)
TIME = (
    st.none()
    | st.integers(-1000, 1000)
    | st.integers(1 - FITS, FITS - 1)
    | st.builds(lambda edge, by, sign: sign * max(0, edge - by), st.sampled_from(EDGES),
                st.integers(0, 100), st.sampled_from([-1, 1]))
)  # fmt: skip
"""As libav gives them; -2^63 is its word for none."""

DURATION = st.sampled_from([None, 0, 1, 40, 1024, 2**31, 2**62, FITS - 1, -1, -(2**40)])
UNIT = st.builds(
    Fraction, st.sampled_from([1, 1001, 2**31 - 1]), st.sampled_from([1, 25, 1000, 10**9])
) | st.just(Fraction(1, 2**31 - 1))


@dataclass
class Packet:
    stream_index: int
    pts: int | None
    dts: int | None
    duration: int | None
    size: int = 100
    is_discard: bool = False


PACKETS = st.lists(
    st.builds(
        Packet,
        stream_index=st.sampled_from([PICTURE, SOUND, TEXT]),
        pts=TIME,
        dts=TIME,
        duration=DURATION,
        size=st.sampled_from([0, 100, 2**24]),
        is_discard=st.booleans(),
    ),
    max_size=60,
)


@given(
    packets=PACKETS,
    units=st.tuples(UNIT, UNIT, UNIT),
    origin=st.fractions(-(10**12), 10**12),
    bridges=st.booleans(),
)
def test_a_clock_takes_any_times(packets, units, origin, bridges) -> None:
    clock: FileClock[Packet] = FileClock(
        kinds={
            PICTURE: TrackKind(unit=units[0], is_picture=True),
            SOUND: TrackKind(unit=units[1], is_sound=True),
            TEXT: TrackKind(unit=units[2]),
        },
        origin=origin,
        bridges_gaps=bridges,
    )
    order = [id(packet) for packet in packets]
    out = [done for packet in packets for done in clock.add(packet)] + list(clock.finish())
    assert [id(packet) for packet in out] == order
    for packet in out:
        for time in (packet.pts, packet.dts):
            assert time is None or abs(time * units[packet.stream_index]) <= 2**30


@given(
    times=st.lists(TIME, min_size=1, max_size=60),
    decoded=st.lists(TIME, max_size=60),
    step=st.sampled_from([0, 1, 40, 48000, 2**40]),
    scale=st.sampled_from([1, 16, 90000]),
)
def test_frames_rise_whatever_a_file_says(times, decoded, step, scale):
    frames: FrameTimes[int] = FrameTimes(step=step, scale=scale)
    for time in decoded:
        frames.decode(time)
    settled = [pair for index, time in enumerate(times) for pair in frames.show(index, time)]
    settled += frames.finish()
    assert [index for index, _ in settled] == list(range(len(times)))
    assert all(earlier < later for (_, earlier), (_, later) in pairwise(settled))


@given(
    packets=st.lists(st.tuples(TIME, TIME, DURATION), max_size=40),
    unit=UNIT,
    track_unit=UNIT,
    rises=st.booleans(),
)
def test_copied_packets_rise_whatever_a_file_says(packets, unit, track_unit, rises):
    track = TrackTimes(unit=track_unit, rises=rises)
    times: list[int] = []
    for pts, dts, duration in packets:
        packet = av.Packet(b"x")
        packet.time_base, packet.duration = unit, duration
        # As they come from the clock: none is longer than a life.
        packet.pts, packet.dts = (
            None if time is None or abs(time * unit) > 2**30 else time for time in (pts, dts)
        )
        times += [done.dts for done in track.add(packet) if done.dts is not None]
    times += [done.dts for done in track.finish() if done.dts is not None]
    assert len(times) == len(packets)
    assert all(a < b if rises else a <= b for a, b in pairwise(times))
