"""When frames are shown: what a container says where it can be, and what fits in between."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from refvid.media.frame_times import FrameTimes

STEP = 40


def settle(times, *, decoded=(), step=STEP, scale=1):
    """Give the times of frames that come out; every frame must come out, in order."""
    frames: FrameTimes[int] = FrameTimes(step=step, scale=scale)
    for time in decoded:
        frames.decode(time)
    settled = [
        pair for index, time in enumerate(times) for pair in frames.show(index, time)
    ] + frames.finish()
    assert [index for index, _ in settled] == list(range(len(times)))
    return [time for _, time in settled], frames


def test_rising_times_are_believed():
    times = [0, 40, 41, 500, 540]
    settled, frames = settle(times)
    assert settled == times
    assert frames.repeats == 0


def test_equal_times_are_spread_up_to_the_next():
    settled, frames = settle([0, 40, 40, 40, 80, 120])
    assert settled == [0, 40, 53, 66, 80, 120]
    assert (frames.repeats, frames.first_repeat) == (2, 2)


def test_a_unit_too_coarse_for_the_rate_loses_nothing_in_a_finer_one():
    settled, _ = settle([0, 0, 1, 1, 2, 2, 3], step=8, scale=16)
    assert settled == [0, 8, 16, 24, 32, 40, 48]


def test_missing_times_come_from_the_rate():
    settled, frames = settle([0, None, None, 120, None])
    assert settled == [0, 40, 80, 120, 160]
    assert frames.repeats == 0


def test_missing_times_come_from_the_order_of_decoding_where_that_is_known():
    """Every other frame is shown for longer, which the rate does not tell."""
    settled, _ = settle([0, None, None, None, 240], decoded=[0, 80, 120, 200, 240])
    assert settled == [0, 80, 120, 200, 240]


def test_a_video_without_times_is_numbered_in_order_of_display():
    # AVI: decoding times only, of which the container drops one where a frame is shown twice.
    settled, frames = settle([None] * 5, decoded=[0, 1, 2, 4, 5], step=1)
    assert settled == [0, 1, 2, 4, 5]
    assert frames.repeats == 0


def test_a_video_without_any_times_is_evenly_spaced():
    settled, _ = settle([None] * 30, step=48000)
    assert settled == list(range(0, 30 * 48000, 48000))


def test_a_packet_without_a_picture_does_not_move_the_others():
    frames: FrameTimes[int] = FrameTimes(step=1)
    frames.decode(0)
    frames.undo_decode(0)
    frames.undo_decode(7)
    frames.decode(1)
    assert frames.show(0, None) == [(0, 1)]


def test_few_frames_wait():
    frames: FrameTimes[int] = FrameTimes(step=STEP)
    frames.show(0, 100)
    waiting = 0
    for index in range(1, 100):
        waiting += 1 - len(frames.show(index, 100))
        assert waiting <= 4


TIMES = st.lists(st.none() | st.integers(-(10**4), 10**4), min_size=1, max_size=60)


@given(times=TIMES, step=st.integers(1, 100), scale=st.sampled_from([1, 16]))
def test_whatever_comes_in_rises(times, step, scale):
    settled, _ = settle(times, step=step, scale=scale)
    assert all(earlier < later for earlier, later in pairwise(settled))


@given(data=st.data(), count=st.integers(2, 80))
def test_a_few_bad_times_change_only_themselves(data, count):
    """Random gaps, missing and repeated times: what is sound stays, and so does the length."""
    gaps = data.draw(st.lists(st.integers(STEP, 5 * STEP), min_size=count, max_size=count))
    true = [sum(gaps[:index]) for index in range(count)]
    # Never so many in a row that frames cannot wait for the next one with a time.
    bad = {
        index: data.draw(st.sampled_from([None, "repeat", "earlier"]))
        for index in range(1, count - 1)
        if index % 4 and data.draw(st.booleans())
    }
    times = list(true)
    for index, kind in bad.items():
        good = max(n for n in range(index) if n not in bad)
        times[index] = {None: None, "repeat": true[good], "earlier": true[good] - 17}[kind]
    settled, _ = settle(times)
    assert all(earlier < later for earlier, later in pairwise(settled))
    for index in range(count):
        if index not in bad:
            assert settled[index] == true[index]
