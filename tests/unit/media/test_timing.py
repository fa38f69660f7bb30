"""Recordings with clocks of their own: what is written begins at 0, rises, and stays in sync."""

from __future__ import annotations

import logging
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from refvid.media.video_info import read_video_info

SUFFIXES = [".mp4", ".mkv"]
FRAME = Fraction(1, 25)
SOUND = Fraction(1024, 48000)
ROUNDING = Fraction(1, 1000)


def recording(samples, name, start, *, frames=25, **options):
    """A transport stream whose clock shows `start` [s] when picture and sound begin."""
    first = start * 25
    return samples.make(
        name,
        timestamps=range(first, first + frames),
        time_base=FRAME,
        frames=frames,
        **{"audio": ["aac"], "audio_start": Fraction(start), "max_b_frames": 0} | options,
    )


def join(folder, *parts):
    joined = folder / f"joined{parts[0].suffix}"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    return joined


def shown(samples, path):
    return [frame.time for frame in samples.read(path)]


def heard(samples, path):
    return [packet.time for packet in samples.packets_of(path, "audio")[0]]


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("starts", [(100, 80, 4000), (1, 1, 1), (50, 90000)], ids=str)
def test_clocks_that_jump_make_one_line(samples, caplog, starts, b_frames, suffix):
    parts = [
        recording(samples, f"{number}.ts", start, max_b_frames=b_frames)
        for number, start in enumerate(starts)
    ]
    source, output = join(samples.folder, *parts), samples.folder / f"out{suffix}"
    samples.copy(source, output)
    times = shown(samples, output)
    count = 25 * len(parts)
    assert len(times) == count
    assert times[0] < SOUND + FRAME
    steps = {later - earlier for earlier, later in pairwise(times)}
    assert min(steps) >= FRAME - ROUNDING
    # A joint takes no longer than the sound that was behind, or the pictures that wait.
    assert max(steps) <= FRAME * (1 + b_frames) + 4 * SOUND
    sound = heard(samples, output)
    assert len(sound) == sum(len(heard(samples, part)) for part in parts)
    assert all(earlier < later for earlier, later in pairwise(sound))
    # Picture and sound of each part are as far apart as they were.
    per_part = len(sound) // len(parts)
    for number in range(len(parts)):
        apart = times[25 * number] - sound[per_part * number]
        first = times[0] - sound[0]
        assert abs(apart - first) <= 2 * ROUNDING, number
    [warning] = set(warnings(caplog))
    assert f"its clock is set anew, joined without a gap: {len(parts) - 1}" in warning


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "start", [3600, 95441, pytest.param(95443, id="just after 33 bits are full")]
)
def test_a_running_clock_becomes_zero(samples, caplog, start, suffix):
    """An hour since the channel began; 33 bits of 90 kHz that run over within the recording."""
    source, output = recording(samples, "in.ts", start, frames=75), samples.folder / f"out{suffix}"
    samples.copy(source, output)
    times = shown(samples, output)
    assert len(times) == 75
    assert 0 <= times[0] <= 2 * SOUND
    assert times[-1] - times[0] == pytest.approx(74 * FRAME, abs=0.002)
    info = read_video_info(output)
    assert info.duration is not None
    assert info.duration < 4
    assert warnings(caplog) == []


def test_information_tells_the_time_of_the_files_own_clock(samples):
    info = read_video_info(recording(samples, "in.ts", 3600))
    assert info.start_time < 1
    assert info.to_json()["start_time"] == pytest.approx(3600, abs=0.1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_avi_has_decoding_times_only(samples, caplog, suffix):
    """H.264 with B-frames that other frames refer to: libav numbers them in decoding order."""
    source = samples.make(
        "in.avi",
        frames=30,
        audio=["libmp3lame"],
        options={"preset": "medium", "x264-params": "b-adapt=0:bframes=3:b-pyramid=normal"},
        max_b_frames=3,
    )
    output = samples.folder / f"out{suffix}"
    samples.copy(source, output)
    times = shown(samples, output)
    assert len(times) == 30
    assert times[0] <= 2 * FRAME
    for earlier, later in pairwise(times):
        assert abs(later - earlier - FRAME) <= ROUNDING
    # in order of display: the blue of the pictures tells which they are
    first = [frame.pixels[..., 2].mean() for frame in samples.read(output)][:7]
    assert np.abs(np.diff(first) - 37).max() < 8
    assert warnings(caplog) == []


def test_frames_that_avi_drops_leave_the_one_before_standing(samples):
    source = samples.make("in.avi", codec="mpeg4", timestamps=[0, 1, 2, 5, 6, 7], max_b_frames=0)
    assert shown(samples, source) == [FRAME * n for n in (0, 1, 2, 5, 6, 7)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_sound_in_short_packets_rises(samples, suffix):
    """Matroska's milliseconds give two packets of 24 samples equal times."""
    source = samples.folder / "in.mkv"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=25, width=64, height=48)
        sound = container.add_stream("flac", rate=48000, options={"frame_size": "24"})
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 9600), np.int16), format="s16")
        frame.sample_rate, frame.pts = 48000, 0
        packets = sound.encode(frame) + sound.encode(None)
        for index in range(5):
            picture = av.VideoFrame(64, 48, "yuv420p")
            picture.pts = index
            packets += video.encode(picture)
        for packet in packets + video.encode(None):
            container.mux(packet)
    times = heard(samples, source)
    assert len(set(times)) < len(times), "the sound was to have equal times"
    output = samples.folder / f"out{suffix}"
    samples.copy(source, output)
    written = heard(samples, output)
    assert len(written) == len(times)
    if suffix == ".mp4":
        assert all(earlier < later for earlier, later in pairwise(written))
    for before, after in zip(times, written, strict=True):
        assert abs(after - before) <= 2 * ROUNDING


@pytest.fixture
def trimmed(samples):
    """An mp4 of which players show 1.4 of 2 seconds: it was cut without being encoded again."""
    source, cut = samples.make(audio=["aac"], frames=50), samples.folder / "cut.mp4"
    with av.open(str(source)) as old, av.open(str(cut), "w") as new:
        targets = [new.add_stream_from_template(stream, opaque=True) for stream in old.streams]
        for packet in old.demux():
            if packet.dts is None or packet.pts is None:
                continue
            late = round(Fraction(3, 5) / packet.time_base)
            packet.pts, packet.dts = packet.pts - late, packet.dts - late
            packet.stream = targets[packet.stream_index]
            new.mux(packet)
    assert len(samples.read(cut)) == 35
    return cut


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_what_an_edit_list_hides_stays_hidden(samples, trimmed, suffix):
    output = samples.folder / f"out{suffix}"
    samples.copy(trimmed, output)
    times = shown(samples, output)
    assert len(times) == 35
    with av.open(str(output)) as container:
        starts = {stream.type: stream.start_time * stream.time_base for stream in container.streams}  # type: ignore[operator]
        hidden = [packet for packet in container.demux(audio=0) if packet.is_discard]
    # Sound before the picture is what its decoder needs.
    assert 0 <= starts["video"] - starts["audio"] <= 2 * SOUND
    assert len(hidden) * SOUND <= Fraction(1, 5)
    # the sound's end is that of the picture, as before
    assert abs(heard(samples, output)[-1] - times[-1]) <= 2 * FRAME


def test_a_stream_that_changes_its_size_says_so_once(samples, caplog):
    large = samples.make("large.mkv", frames=10, max_b_frames=0)
    small = samples.make("small.mkv", size=(64, 96), frames=10, max_b_frames=0)
    both = samples.folder / "both.ts"
    with av.open(str(both), "w") as joined:
        target = None
        for offset, part in ((0, large), (10, small)):
            with av.open(str(part)) as container:
                stream = container.streams.video[0]
                filters = av.bitstream.BitStreamFilterContext("h264_mp4toannexb", stream)
                target = target or joined.add_stream_from_template(stream, opaque=True)
                for packet in container.demux(stream):
                    for converted in filters.filter(packet if packet.size else None):
                        converted.time_base = stream.time_base  # type: ignore[assignment]
                        converted.pts += offset * 40  # type: ignore[operator]
                        converted.dts = converted.pts
                        converted.stream = target
                        joined.mux(converted)
    output = samples.folder / "out.mkv"
    samples.copy(both, output)
    assert len(samples.read(output)) == 20
    assert read_video_info(output).size == (96, 64)
    [warning] = warnings(caplog)
    assert "of another size, scaled back: 10, the first is frame 10" in warning


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_more_frames_than_milliseconds_keep_their_length(samples, suffix):
    source = samples.make(
        "in.mkv", frames=60, rate=Fraction(2000), time_base=Fraction(1, 2000), max_b_frames=0
    )
    frames = samples.copy(source, samples.folder / f"out{suffix}")
    times = [frame.time for frame in frames]
    assert all(earlier < later for earlier, later in pairwise(times))
    for index, time in enumerate(times):
        assert abs(time - Fraction(index, 2000)) <= ROUNDING
    assert len(shown(samples, samples.folder / f"out{suffix}")) == 60


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_that_begins_before_the_sound_is_not_hidden(samples, suffix):
    source = recording(samples, "in.ts", 10, audio_start=Fraction("10.5"))
    output = samples.folder / f"out{suffix}"
    samples.copy(source, output)
    assert shown(samples, output)[0] <= ROUNDING
    assert abs(heard(samples, output)[0] - Fraction(1, 2)) <= 2 * SOUND


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_part_of_a_joined_recording_is_in_sync(samples, suffix):
    source = join(samples.folder, recording(samples, "0.ts", 100), recording(samples, "1.ts", 20))
    output = samples.folder / f"out{suffix}"
    frames = samples.copy(source, output, start=20, end=40)
    assert [frame.index for frame in frames] == list(range(20, 40))
    times, sound = shown(samples, output), heard(samples, output)
    assert times[0] <= SOUND
    assert max(later - earlier for earlier, later in pairwise(times)) <= FRAME + 4 * SOUND
    assert abs(sound[-1] - times[-1]) <= FRAME + SOUND


def test_chapters_move_with_the_clock(samples):
    source = samples.make(
        "in.mkv",
        timestamps=range(250, 300),
        time_base=FRAME,
        frames=50,
        chapters=[(10_000, 11_000, "a"), (11_000, 12_000, "b")],
    )
    output = samples.folder / "out.mkv"
    samples.copy(source, output)
    with av.open(str(output)) as container:
        starts = [
            chapter["start"] * (chapter["time_base"] or 1) for chapter in container.chapters()
        ]
    assert starts == [0, pytest.approx(1, abs=0.001)]


@pytest.mark.parametrize("claimed", [10**12, 2**62])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_last_picture_that_claims_to_be_shown_for_centuries(samples, claimed, suffix):
    whole = samples.make("whole.mkv", frames=10)
    source = samples.folder / "in.mkv"
    with av.open(str(whole)) as old, av.open(str(source), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        packets[-1].duration = claimed
        for packet in packets:
            packet.stream = stream
            new.mux(packet)
    output = samples.folder / f"out{suffix}"
    samples.copy(source, output)
    assert (read_video_info(output).duration or 0) < 1
    assert len(samples.read(output)) == 10


def test_a_last_frame_is_no_longer_because_the_one_before_was(samples):
    """A recorded screen stands still for minutes, and then ends."""
    stamps = [0, 30_000, 30_040, 300_000]
    source = samples.make(
        "in.mp4", time_base=Fraction(1, 1000), timestamps=stamps, duration=40, max_b_frames=0
    )
    last = samples.read(source)[-1]
    assert last.duration * last.time_base == Fraction(40, 1000)
    output = samples.folder / "out.mp4"
    samples.copy(source, output)
    assert read_video_info(output).duration == Fraction(300_040, 1000)
