"""Reading: ranges, single frames, and damaged files."""

from __future__ import annotations

import json
import logging
import shutil
import struct
import subprocess
import sys
from contextlib import suppress
from fractions import Fraction
from threading import Thread
from typing import Any

import av
import numpy as np
import pytest

from refvid.errors import InputError, OptionError
from refvid.media import decoding
from refvid.media.container import find_video_stream, open_container, set_up_decoder
from refvid.media.packets import read_packets
from refvid.media.pixel_conversion import Planes
from refvid.media.reader import open_video, read_frame
from refvid.media.truncation import missing_bytes
from refvid.media.video_info import read_video_info


def indexes(samples, path, **options):
    return [frame.index for frame in samples.read(path, **options)]


def test_info_of_a_plain_video(samples):
    source = samples.make(audio=["aac:eng"], chapters=[(0, 300, "a")], metadata={"title": "t"})
    info = read_video_info(source)
    assert (info.codec, info.pix_fmt, info.bit_depth, info.size) == ("h264", "yuv420p", 8, (96, 64))
    assert info.frame_rate == 25
    assert info.is_variable_rate is False
    assert (info.frame_count, info.frame_count_is_exact) == (8, True)
    assert info.duration == Fraction(8, 25)
    (track,) = info.audio
    assert (track.codec, track.language, track.channels) == ("aac", "eng", 2)
    assert track.sample_rate == 48000
    assert info.chapters == 1
    assert info.metadata["title"] == "t"
    assert json.loads(json.dumps(info.to_json()))["frame_rate"] == "25"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_rate_is_recognised(samples, suffix):
    stamps = [0, 40, 80, 200, 240, 280]
    source = samples.make(f"in{suffix}", time_base=Fraction(1, 1000), timestamps=stamps)
    assert read_video_info(source).is_variable_rate is True
    rounded = samples.make(f"even{suffix}", rate=Fraction(30000, 1001), frames=30)
    assert read_video_info(rounded).is_variable_rate is (False if suffix == ".mp4" else None)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, range(20)),
        ({"start": 5}, range(5, 20)),
        ({"end": 5}, range(5)),
        ({"start": 5, "end": 9}, range(5, 9)),
        ({"frames": 3}, range(3)),
        ({"start": 18, "frames": 9}, range(18, 20)),
        ({"start": Fraction("0.2"), "end": Fraction("0.4")}, range(5, 10)),
        ({"start": Fraction("0.201"), "end": Fraction("0.401")}, range(6, 11)),
        ({"start": 19, "end": 1000}, range(19, 20)),
    ],
)
@pytest.mark.parametrize("first", [0, 7])
def test_ranges_count_from_the_first_frame(samples, limits, expected, first):
    source = samples.make("in.mkv", timestamps=range(first, first + 20))
    assert indexes(samples, source, **limits) == list(expected)


def test_frames_of_a_range_are_those_of_the_file(samples):
    source = samples.make(frames=30, options={"g": "12"})
    everything = samples.read(source)
    part = samples.read(source, start=13, frames=4)
    for frame in part:
        assert np.array_equal(frame.pixels, everything[frame.index].pixels)
        assert frame.pts == everything[frame.index].pts


@pytest.mark.parametrize(
    "limits",
    [{"start": -1}, {"end": -1}, {"start": 5, "end": 5}, {"frames": 0}, {"start": Fraction(-1, 2)}],
)
def test_impossible_ranges(samples, limits):
    source = samples.make()
    with pytest.raises(OptionError):
        open_video(source, **limits)


def test_a_range_beyond_the_end(samples):
    source = samples.make()
    with pytest.raises(InputError, match=r"has only 8 frames \(0\.320 s\)"):
        samples.read(source, start=8)
    with pytest.raises(InputError, match="has only 8 frames"):
        samples.read(source, start=Fraction(9))


def test_single_frames(samples):
    source = samples.make()
    everything = samples.read(source)
    assert np.array_equal(read_frame(source, index=3).pixels, everything[3].pixels)
    for time, index in (("0", 0), ("0.039", 0), ("0.04", 1), ("0.3", 7), ("0.319", 7)):
        assert read_frame(source, time=Fraction(time)).index == index
    for beyond in ({"index": 8}, {"time": Fraction("0.32")}, {"time": Fraction(99)}):
        with pytest.raises(InputError, match=r"only"):
            read_frame(source, **beyond)
    for nonsense in ({}, {"index": 1, "time": Fraction(1)}, {"index": -1}, {"time": Fraction(-1)}):
        with pytest.raises(OptionError):
            read_frame(source, **nonsense)


def test_durations_reach_to_the_next_frame(samples):
    stamps = [0, 40, 80, 200, 240, 280]
    source = samples.make(time_base=Fraction(1, 1000), timestamps=stamps, duration=50)
    lengths = [frame.duration * frame.time_base * 1000 for frame in samples.read(source)]
    assert lengths == [40, 40, 120, 40, 40, 50]


@pytest.mark.parametrize(
    ("made", "come_apart"),
    [
        ({}, True),
        ({"pix_fmt": "yuv444p"}, True),
        ({"rotation": 90, "size": (48, 32)}, False),
        ({"rotation": 0, "hflip": True}, False),
        ({"suffix": ".mkv", "pix_fmt": "yuv420p10le"}, False),
    ],
)
def test_planes_show_the_same(samples, made: dict[str, Any], come_apart: bool) -> None:
    """Colour by colour where that takes no more work, else as always."""
    source = samples.make("in" + made.pop("suffix", ".mp4"), frames=2, **made)
    with open_video(source, planes=True) as video:
        apart = list(video)
    assert {isinstance(frame.shown, Planes) for frame in apart} == {come_apart}
    for frame, same in zip(apart, samples.read(source), strict=True):
        assert np.array_equal(frame.pixels, same.pixels)


def test_videos_read_at_once_share_the_cores(samples, monkeypatch):
    monkeypatch.setattr("refvid.media.container.usable_cores", lambda: 8)
    source = samples.make(frames=2)
    for among, threads in ((2, 4), (3, 2), (100, 1)):
        with open_container(source) as container:
            stream = find_video_stream(container, source)
            set_up_decoder(stream, threads=True, among=among)
            assert stream.codec_context.thread_count == threads
        with open_video(source, among=among) as video:
            shared = [frame.pixels for frame in video]
        assert np.array_equal(shared, [frame.pixels for frame in samples.read(source)])


def test_iterating_in_another_thread(samples):
    source = samples.make(frames=20)
    found: list[int] = []
    with open_video(source) as video:
        thread = Thread(target=lambda: found.extend(frame.index for frame in video))
        thread.start()
        thread.join()
    assert found == list(range(20))


def test_closing_while_another_thread_reads(samples):
    source = samples.make(frames=60)
    for _ in range(5):
        video = open_video(source)
        thread = Thread(target=lambda video=video: list(video))
        thread.start()
        video.close()
        thread.join()
        assert list(video) == []


def test_missing_and_wrong_files(samples):
    folder = samples.folder
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("This is no video.\n" * 50)
    (folder / "notes.txt").write_text("This is no video.\n" * 50)
    (folder / "list.m3u8").write_text("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n")
    (folder / "list.ffconcat").write_text("ffconcat version 1.0\nfile in.mp4\n")
    (folder / "nothing").mkdir()
    with av.open(str(folder / "sound.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for name, message in {
        "absent.mp4": "does not exist",
        "empty.mp4": "empty",
        "text.mp4": "damaged or not a video",
        "notes.txt": "not a video",
        "list.m3u8": "not a video",
        "list.ffconcat": "not a video",
        "sound.m4a": "no video track \\(only audio\\)",
        "nothing": "no images",
        "absent_%03d.png": "No file matches",
        "absent/%03d.png": "does not exist",
    }.items():
        with pytest.raises(InputError, match=message) as caught:
            open_video(folder / name)
        assert name in str(caught.value) or name.split("/")[0] in str(caught.value)


def test_odd_file_names(samples):
    source = samples.make()
    for name in ("http:x.mp4", "ünï çødé 動画.mp4", "-f lavfi.mp4", "a%b#c?.mp4", "concat:a|b.mp4"):
        copy = samples.folder / name
        shutil.copy(source, copy)
        assert len(samples.read(copy)) == 8
        output = samples.folder / f"out {name}"
        samples.copy(copy, output)
        assert len(samples.read(output)) == 8


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_file_that_is_cut_off(samples, suffix):
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    whole = samples.make(f"in{suffix}", frames=60, codec="mpeg4" if suffix == ".avi" else "libx264")
    if options:
        with av.open(str(whole)) as old:
            faststart = samples.folder / "fast.mp4"
            with av.open(str(faststart), "w", container_options=options) as new:
                stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
                for packet in old.demux():
                    if packet.dts is not None:
                        packet.stream = stream
                        new.mux(packet)
        whole = faststart
    data = whole.read_bytes()
    assert missing_bytes(whole) == 0
    cut = samples.folder / f"cut{suffix}"
    cut.write_bytes(data[: len(data) * 2 // 3])
    assert missing_bytes(cut) == len(data) - len(data) * 2 // 3
    with pytest.raises(InputError, match="cut off"):
        open_video(cut)
    # What is there can still be had.
    assert indexes(samples, cut, end=10) == list(range(10))
    with pytest.raises(InputError, match=r"cut off|damaged"):
        samples.read(cut, end=59)


def test_a_live_recording_is_not_called_cut_off(samples):
    whole = samples.make("in.mkv", frames=30)
    data = bytearray(whole.read_bytes())
    start = data.index(b"\x18S\x80g") + 4
    assert data[start] == 1
    data[start : start + 8] = b"\x01" + b"\xff" * 7
    whole.write_bytes(data)
    assert missing_bytes(whole) == 0
    assert len(samples.read(whole)) == 30


def test_trailing_bytes_do_no_harm(samples):
    whole = samples.make()
    for tail in (b"\0", b"\0" * 100, b"JUNK" * 10, struct.pack(">I4s", 8, b"free")):
        padded = samples.folder / "padded.mp4"
        padded.write_bytes(whole.read_bytes() + tail)
        assert len(samples.read(padded)) == 8


@pytest.mark.parametrize("codec", ["libvpx-vp9", "ffv1", "mpeg4", "libx264"])
def test_damage_in_the_middle_is_no_silent_loss(samples, codec):
    source = samples.make("in.mkv", codec=codec, frames=30)
    with av.open(str(source)) as container:
        payload = [bytes(packet) for packet in container.demux(video=0) if packet.size][15]
    data = source.read_bytes()
    place = data.index(payload[:40])
    source.write_bytes(data[:place] + bytes(len(payload)) + data[place + len(payload) :])
    frames = None
    with suppress(InputError):
        frames = samples.read(source)
    # Some decoders conceal damage: then there is a picture for every frame all the same.
    assert frames is None or len(frames) == 30
    if codec == "libvpx-vp9":
        with pytest.raises(InputError, match="damaged after frame 14"):
            samples.read(source)


def test_repeated_and_missing_timestamps_are_repaired(samples, caplog):
    source = samples.make("in.mkv", frames=6)
    broken = samples.folder / "broken.mkv"
    with av.open(str(source)) as old, av.open(str(broken), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        for packet in old.demux():
            if packet.dts is None:
                continue
            if packet.pts == 120:
                packet.pts = packet.dts = 80
            packet.stream = stream
            packet.dts = packet.pts
            try:
                new.mux(packet)
            except av.FFmpegError:
                pytest.skip("this muxer refuses the sample")
    with caplog.at_level(logging.WARNING):
        stamps = [frame.pts for frame in samples.read(broken)]
    assert stamps == sorted(set(stamps))
    assert len(stamps) == 6


def test_an_empty_packet_repeats_the_picture_before(samples, monkeypatch):
    # As Ogg Theora has them, which PyAV cannot encode.
    real = read_packets

    def with_empty(*given: Any, **options: Any) -> Any:
        packet: Any
        for number, packet in enumerate(real(*given, **options)):
            if number == 3:
                continue
            yield packet
            if number == 2:
                empty: Any = av.Packet(b"")
                empty.stream, empty.time_base = packet.stream, packet.time_base
                empty.pts = empty.dts = packet.dts + packet.duration
                yield empty

    monkeypatch.setattr(decoding, "read_packets", with_empty)
    source = samples.make("intra.avi", codec="mjpeg", pix_fmt="yuvj420p", frames=6)
    frames = samples.read(source)
    assert [frame.pts for frame in frames] == [0, 1, 2, 4, 5]
    assert frames[2].duration == 2


def test_nothing_here_loads_torch():
    code = "import sys, refvid.media.writer; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
