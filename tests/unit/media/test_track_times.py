"""Times of copied packets: none is missing, those of sound rise, hidden ones are left out."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
from hypothesis import given
from hypothesis import strategies as st

from refvid.media.track_times import LeadIn, TrackTimes

MILLISECOND = Fraction(1, 1000)
SAMPLE = Fraction(1, 48000)


def packet(time, duration=None, *, unit=MILLISECOND, delay=0):
    made = av.Packet(b"x")
    made.time_base = unit
    made.dts = time
    made.pts = None if time is None else time + delay
    made.duration = duration
    return made


def settle(packets, *, unit=SAMPLE, rises=True):
    track = TrackTimes(unit=unit, rises=rises)
    settled = [done for one in packets for done in track.add(one)] + track.finish()
    assert len(settled) == len(packets)
    return [done.dts for done in settled], track


def test_equal_times_are_spread_over_the_samples_in_between():
    """Two packets of 24 samples in every millisecond."""
    settled, track = settle([packet(index // 2) for index in range(8)] + [packet(4)])
    assert settled == [24 * index for index in range(9)]
    assert track.backward == 0


def test_text_may_begin_together():
    lines = [packet(0, 500), packet(0, 700), packet(900, 100)]
    settled, _ = settle(lines, unit=MILLISECOND, rises=False)
    assert settled == [0, 0, 900]


def test_missing_times_follow_from_what_came_before():
    settled, _ = settle([packet(0, 20), packet(None, 20), packet(None, 20), packet(60, 20)])
    assert settled == [0, 960, 1920, 2880]


def test_a_packet_is_shown_as_much_later_than_it_is_decoded_as_before():
    late = packet(5, delay=3)
    TrackTimes(unit=MILLISECOND, rises=True).add(late)
    assert (late.dts, late.pts) == (5, 8)


def test_packets_at_the_end_that_repeat_a_time_follow_each_other():
    settled, _ = settle([packet(0, 20), packet(0, 20), packet(0, 20)])
    assert settled == [0, 960, 1920]


def test_going_back_is_counted():
    settled, track = settle([packet(time, 20) for time in (0, 20, 10, 40)])
    assert all(earlier < later for earlier, later in pairwise(settled))
    assert settled[-1] == 40 * 48
    assert track.backward == 1


@given(
    times=st.lists(st.none() | st.integers(-1000, 1000), min_size=1, max_size=400),
    duration=st.none() | st.integers(0, 50),
)
def test_whatever_comes_in_rises(times, duration):
    settled, _ = settle([packet(time, duration) for time in times])
    assert all(earlier < later for earlier, later in pairwise(settled))


@given(st.lists(st.integers(0, 40), min_size=2, max_size=300))
def test_rounding_costs_no_more_than_itself(samples):
    """True times in samples, as a container with milliseconds tells them."""
    true = [sum(samples[: index + 1]) + 24 * index for index in range(len(samples))]
    told = [time * 1000 // 48000 for time in true]
    settled, _ = settle([packet(time) for time in told])
    assert all(abs(got - time) <= 48 for got, time in zip(settled, true, strict=True))


def discarded(source, count):
    """The first packets of a track whose edit list begins late."""
    with av.open(str(source)) as container:
        packets = [p for p in container.demux(audio=0) if p.is_discard and p.size]
    assert len(packets) >= count
    return packets[:count]


def hidden_start(folder, samples):
    """An mp4 whose first second is hidden by its edit list."""
    source, cut = samples.make(audio=["aac"], frames=50), folder / "cut.mp4"
    with av.open(str(source)) as old, av.open(str(cut), "w") as new:
        targets = [new.add_stream_from_template(stream, opaque=True) for stream in old.streams]
        for one in old.demux():
            if one.dts is None:
                continue
            seconds = round(1 / one.time_base)
            one.pts, one.dts = one.pts - seconds, one.dts - seconds  # type: ignore[operator]
            one.stream = targets[one.stream_index]
            new.mux(one)
    return cut


def test_what_an_edit_list_hides_is_left_out_but_for_a_lead_in(samples, tmp_path):
    hidden = discarded(hidden_start(tmp_path, samples), 40)
    first = packet(0, 1024, unit=SAMPLE)
    one = LeadIn(None)
    assert [kept for p in hidden for kept in one.add(p)] == []
    assert one.add(first) == [hidden[-1], first]
    some = LeadIn(Fraction(1, 10))
    assert [kept for p in hidden for kept in some.add(p)] == []
    *lead, last = some.add(packet(0, 1024, unit=SAMPLE))
    assert last.dts == 0
    # Just enough of them, and none that hides between what is heard.
    assert Fraction(1, 10) <= len(lead) * 1024 * SAMPLE < Fraction(1, 10) + 1024 * SAMPLE
    assert some.add(hidden[0]) == []


def test_no_lead_in_is_kept_where_the_first_packet_begins_early(samples, tmp_path):
    hidden = discarded(hidden_start(tmp_path, samples), 10)
    first = packet(-500, 1024, unit=SAMPLE)
    track = LeadIn(None)
    for one in hidden:
        track.add(one)
    assert track.add(first) == [first]
