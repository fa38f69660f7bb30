"""One clock for all streams: jumps are bridged alike, single wrong times are not followed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refvid.media.clock import FileClock
from refvid.media.clock_track import TrackKind

PICTURE, SOUND, TEXT = 0, 1, 2
KINDS = {
    PICTURE: TrackKind(unit=Fraction(1, 1000), is_picture=True),
    SOUND: TrackKind(unit=Fraction(1, 48000), is_sound=True),
    TEXT: TrackKind(unit=Fraction(1, 1000)),
}
FRAME, PACKET = 40, 1024


@dataclass
class Fake:
    stream_index: int
    pts: int | None
    dts: int | None
    duration: int | None
    size: int = 100
    is_discard: bool = False

    @property
    def seconds(self) -> Fraction:
        assert self.pts is not None
        return self.pts * KINDS[self.stream_index].unit


def recording(start: Fraction, seconds: Fraction, *, reorder: int = 0) -> list[Fake]:
    """Picture and sound that begin together, interleaved as in a file.

    `reorder` pictures come before they are shown, so that decoding times lie earlier.
    """
    pictures = []
    for index in range(int(seconds * 1000 / FRAME)):
        decoded = int(start * 1000) + FRAME * (index - reorder)
        # the order I P B B: a picture is shown late, or at once
        late = 3 * FRAME if index % 3 == 1 else 0
        shown = decoded + FRAME * reorder + (late if reorder else 0)
        pictures.append(Fake(PICTURE, shown, decoded, FRAME))
    first = int(start * 48000)
    sound = [
        Fake(SOUND, first + PACKET * index, first + PACKET * index, PACKET)
        for index in range(int(seconds * 48000 / PACKET))
    ]
    unit = {PICTURE: Fraction(1, 1000), SOUND: Fraction(1, 48000)}
    return sorted(
        pictures + sound, key=lambda packet: (packet.dts or 0) * unit[packet.stream_index]
    )


def read(packets: list[Fake], **options: object) -> tuple[list[Fake], FileClock[Fake]]:
    clock: FileClock[Fake] = FileClock(kinds=KINDS, **options)  # type: ignore[arg-type]
    out: list[Fake] = []
    for packet in packets:
        out += clock.add(replace(packet))
    out += clock.finish()
    assert [packet.stream_index for packet in out] == [p.stream_index for p in packets]
    return out, clock


def times(packets: list[Fake], stream: int) -> list[Fraction]:
    return sorted(packet.seconds for packet in packets if packet.stream_index == stream)


def steps(packets: list[Fake], stream: int) -> set[Fraction]:
    shown = times(packets, stream)
    return {later - earlier for earlier, later in pairwise(shown)}


def test_a_steady_clock_is_only_moved_to_zero():
    packets = recording(Fraction(3600), Fraction(2))
    out, clock = read(packets, origin=Fraction(3600), bridges_gaps=True)
    assert times(out, PICTURE) == [time - 3600 for time in times(packets, PICTURE)]
    assert times(out, SOUND) == [time - 3600 for time in times(packets, SOUND)]
    assert (clock.jumps, clock.wrong) == (0, 0)


@pytest.mark.parametrize("reorder", [0, 2])
@pytest.mark.parametrize("second", ["80", "99.5", "100.5", "0", "4000", "95443"])
def test_a_new_clock_goes_on_where_the_old_one_ended(second, reorder):
    """Back by any distance, ahead by more than a pause, as in joined transport streams."""
    first = recording(Fraction(100), Fraction(2), reorder=reorder)
    packets = first + recording(Fraction(second), Fraction(2), reorder=reorder)
    out, clock = read(packets, origin=Fraction(100), bridges_gaps=True)
    assert clock.jumps == 1
    half = len(first)
    # What belongs together stays together, to the tick.
    for part in (out[:half], out[half:]):
        gap = times(part, PICTURE)[0] - times(part, SOUND)[0]
        assert abs(gap - (times(first, PICTURE)[0] - times(first, SOUND)[0])) <= Fraction(1, 1000)
    assert len(times(out, PICTURE)) == len(set(times(out, PICTURE)))
    pause = times(out[half:], PICTURE)[0] - times(out[:half], PICTURE)[-1]
    assert 0 < pause <= Fraction(FRAME * (1 + reorder), 1000) + Fraction(PACKET, 48000)
    assert times(out[half:], SOUND)[0] > times(out[:half], SOUND)[-1]


def test_streams_that_jump_at_different_places_of_the_file_follow_one_clock():
    first, second = recording(Fraction(100), Fraction(2)), recording(Fraction(20), Fraction(2))
    # The last sound of the first part comes late, as in transport streams.
    late = [packet for packet in first if packet.stream_index == SOUND][-6:]
    early = [packet for packet in second if packet.stream_index == PICTURE][:8]
    packets = [packet for packet in first if packet not in late] + early + late
    packets += [packet for packet in second if packet not in early]
    out, clock = read(packets, origin=Fraction(100), bridges_gaps=True)
    assert clock.jumps == 1
    sound = [packet.seconds for packet in out if packet.stream_index == SOUND]
    pictures = [packet.seconds for packet in out if packet.stream_index == PICTURE]
    assert sound == sorted(sound)
    half = len(sound) // 2
    assert sound[:half] == [time - 100 for time in times(first, SOUND)]
    assert abs(sound[half] - pictures[len(pictures) // 2]) <= Fraction(1, 1000)


def test_a_stream_that_lies_much_later_in_the_file_finds_the_clock():
    first, second = recording(Fraction(100), Fraction(20)), recording(Fraction(20), Fraction(20))

    def place(packet):
        played = packet.seconds - 100 if packet.seconds >= 100 else packet.seconds
        return played + (8 if packet.stream_index == SOUND else 0)

    packets = sorted(first + second, key=place)
    out, clock = read(packets, origin=Fraction(100), bridges_gaps=True)
    assert clock.jumps == 1
    assert max(steps(out, PICTURE)) <= Fraction(FRAME, 1000) + Fraction(PACKET, 48000)
    assert max(steps(out, SOUND)) <= Fraction(PACKET, 48000) + Fraction(FRAME, 1000)


@pytest.mark.parametrize("left", [1, 6, 15])
@pytest.mark.parametrize("stream", [PICTURE, SOUND])
@pytest.mark.parametrize("old", [5000, 20])
def test_a_stream_that_begins_on_another_clock_is_joined(stream, left, old):
    """The first packets of a recording may be left from before the clock was set."""
    packets = recording(Fraction(100), Fraction(3))
    unit = KINDS[stream].unit
    for packet in [p for p in packets if p.stream_index == stream][:left]:
        packet.pts += round((old - 100) / unit)
        packet.dts = packet.pts
    out, clock = read(packets, bridges_gaps=True)
    assert clock.jumps >= 1
    begin = min(clock.starts.values())
    for index, step in ((PICTURE, Fraction(FRAME, 1000)), (SOUND, Fraction(PACKET, 48000))):
        shown = times(out, index)
        assert shown[0] - begin <= Fraction(left * FRAME, 1000)
        assert all(abs(gap - step) <= 2 * step for gap in steps(out, index)), index
    assert abs(times(out, PICTURE)[-1] - times(out, SOUND)[-1]) <= Fraction(FRAME, 1000) * (
        left + 1
    )


@pytest.mark.parametrize("wrong", [-5_000_000, -2000, 20_000, 5_000_000])
def test_one_wrong_time_is_not_followed(wrong):
    packets = recording(Fraction(100), Fraction(3))
    picked = [packet for packet in packets if packet.stream_index == PICTURE][20]
    right = picked.dts
    assert right is not None
    picked.pts = picked.dts = right + wrong
    out, clock = read(packets, origin=Fraction(100))
    assert (clock.jumps, clock.wrong) == (0, 1)
    lost = [packet for packet in out if packet.pts is None]
    assert len(lost) == 1
    kept = [packet for packet in out if packet.pts is not None]
    assert max(packet.seconds for packet in kept) < 3
    assert steps(kept, SOUND) == {Fraction(PACKET, 48000)}


def test_a_pause_is_kept_where_times_are_not_a_running_clock():
    """A slide show, or a camera that waits for movement: its pauses are meant."""
    first, second = recording(Fraction(0), Fraction(1)), recording(Fraction(30), Fraction(1))
    out, clock = read(first + second)
    assert clock.jumps == 0
    assert times(out, PICTURE) == times(first + second, PICTURE)


def test_sound_that_pauses_while_the_picture_goes_on_stays_in_sync():
    packets = [
        packet
        for packet in recording(Fraction(0), Fraction(40))
        if packet.stream_index == PICTURE or not 5 < packet.seconds < 25
    ]
    out, clock = read(packets, bridges_gaps=True)
    assert clock.jumps == 0
    assert times(out, SOUND) == times(packets, SOUND)


def test_guessed_decoding_times_that_go_back_a_little_change_nothing():
    packets = recording(Fraction(0), Fraction(3))
    for index, packet in enumerate(p for p in packets if p.stream_index == PICTURE):
        if index % 3 == 1:
            assert packet.dts is not None
            packet.dts += 3 * FRAME  # before the two that follow
    out, clock = read(packets)
    assert (clock.jumps, clock.wrong) == (0, 0)
    assert [packet.pts for packet in out] == [packet.pts for packet in packets]


def test_lines_of_text_follow_the_clock_of_what_is_shown():
    first, second = recording(Fraction(100), Fraction(3)), recording(Fraction(20), Fraction(3))
    packets = [*first, *second]
    packets.insert(10, Fake(TEXT, 100_500, 100_500, 1000))
    packets.insert(len(first) + 60, Fake(TEXT, 21_000, 21_000, 1000))
    out, _ = read(packets, origin=Fraction(100), bridges_gaps=True)
    texts = times(out, TEXT)
    assert texts[0] == Fraction(1, 2)
    assert abs(texts[1] - 4) <= Fraction(FRAME, 1000)


def test_packets_that_an_edit_list_hides_tell_no_time():
    hidden = [replace(packet, is_discard=True) for packet in recording(Fraction(-1), Fraction(1))]
    shown = recording(Fraction(0), Fraction(1))
    out, clock = read([*hidden, *hidden, *shown])
    assert clock.jumps == 0
    assert times(out[-len(shown) :], PICTURE) == times(shown, PICTURE)


def test_little_is_held_back():
    clock: FileClock[Fake] = FileClock(kinds=KINDS, bridges_gaps=True)
    waiting = most = 0
    # the sound never jumps, and ends at once: a clock could wait for it forever
    for packet in [
        *recording(Fraction(100), Fraction(1)),
        *(p for p in recording(Fraction(0), Fraction(200)) if p.stream_index == PICTURE),
    ]:
        waiting += 1 - len(list(clock.add(packet)))
        most = max(most, waiting)
    assert most <= 1000
    large = [replace(packet, size=2**24) for packet in recording(Fraction(0), Fraction(2))]
    clock = FileClock(kinds=KINDS, bridges_gaps=True)
    list(clock.add(Fake(PICTURE, 10**6, 10**6, FRAME)))
    waiting = most = 0
    for packet in large:
        waiting += 1 - len(list(clock.add(packet)))
        most = max(most, waiting)
    assert most <= 3


@given(
    pieces=st.lists(
        # A start on the clock, of which less than 10 s ahead would be a pause; how many frames;
        # how many of them wait to be shown.
        st.tuples(
            st.integers(0, 2000).map(lambda n: n * 50), st.integers(12, 60), st.integers(0, 2)
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=60)
def test_any_pieces_joined_make_one_line(pieces):
    """Whatever the clocks of the pieces: times rise, nothing is lost, all stay in sync."""
    packets: list[Fake] = []
    lengths = []
    for start, frames, reorder in pieces:
        piece = recording(Fraction(start), Fraction(frames * FRAME, 1000), reorder=reorder)
        packets += piece
        lengths.append(len(piece))
    out, _ = read(packets, origin=Fraction(pieces[0][0]), bridges_gaps=True)
    assert len(out) == len(packets)
    sound = [packet.dts for packet in out if packet.stream_index == SOUND]
    assert all(a < b for a, b in pairwise(sound))  # type: ignore[operator]
    shown = times(out, PICTURE)
    length = sum(Fraction(frames * FRAME, 1000) for _, frames, _ in pieces)
    assert abs(shown[-1] - shown[0] - length) <= Fraction(12, 25) * len(pieces)
    begin = 0
    for count in lengths:
        part, begin = out[begin : begin + count], begin + count
        gap = times(part, PICTURE)[0] - times(part, SOUND)[0]
        assert abs(gap) <= Fraction(FRAME, 1000)


def test_first_pictures_without_decoding_times_are_no_jump() -> None:
    """As Matroska's are: times of pictures go back and forth, and say nothing about the clock."""
    shown = [0, 250, 167, 125, 209, 417, 334, 292]
    decoded = [None, None, 0, 125, 167, 209, 250, 292]
    packets = [Fake(PICTURE, pts, dts, 42) for pts, dts in zip(shown, decoded, strict=True)]
    out, clock = read(packets)
    assert [packet.pts for packet in out] == shown
    assert clock.jumps == 0
