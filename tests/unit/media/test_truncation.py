"""A file's end is missing where frames are, not where a size in a header says so."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import pytest

from refvid.errors import InputError
from refvid.media.endings import find_ending
from refvid.media.reader import open_video
from refvid.media.truncation import missing_bytes

FRAMES = 25


@pytest.fixture
def avi(samples) -> bytes:
    path = samples.make("whole.avi", codec="mpeg4", frames=FRAMES, audio=["pcm_s16le"])
    return bytes(path.read_bytes())


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def patch(data: bytes, position: int, size: int) -> bytes:
    return data[:position] + struct.pack("<I", size) + data[position + 4 :]


def movi_start(data: bytes) -> int:
    return data.index(b"movi") - 8


def count_frames(path: Path) -> int:
    with open_video(path) as video:
        return sum(1 for _ in video)


@pytest.mark.parametrize("riff_size", ["itself", "zero", "open", "odd", "much too large"])
def test_the_size_of_an_avi_may_be_wrong(avi, tmp_path, riff_size):
    size = {
        "itself": len(avi),
        "zero": 0,
        "open": 0xFFFFFFFF,
        "odd": len(avi) - 7,
        "much too large": 3 * len(avi),
    }[riff_size]
    path = put(tmp_path / "a.avi", patch(avi, 4, size))
    assert missing_bytes(path) == 0
    assert count_frames(path) == FRAMES


def test_an_avi_may_lack_its_index(avi, tmp_path):
    path = put(tmp_path / "a.avi", avi[: avi.rindex(b"idx1")])
    assert missing_bytes(path) == 0
    assert count_frames(path) == FRAMES


@pytest.mark.parametrize("movi_size", [0, 0xFFFFFFFF, 2**30])
def test_an_avi_whose_list_of_frames_was_left_open_is_whole(avi, tmp_path, movi_size):
    whole = avi[: avi.rindex(b"idx1")]
    path = put(
        tmp_path / "a.avi", patch(patch(whole, 4, movi_size), movi_start(avi) + 4, movi_size)
    )
    assert missing_bytes(path) == 0
    assert count_frames(path) == FRAMES


def test_an_avi_without_its_last_frames_is_cut_off(avi, tmp_path):
    end = avi.rindex(b"idx1")
    path = put(tmp_path / "a.avi", avi[: end * 2 // 3])
    assert missing_bytes(path) == len(avi) - end * 2 // 3
    with pytest.raises(InputError, match="cut off"):
        count_frames(path)


def test_an_avi_cut_between_two_frames_is_cut_off_too(avi, tmp_path):
    last = avi.rindex(b"00dc", 0, avi.rindex(b"idx1"))
    path = put(tmp_path / "a.avi", avi[:last])
    assert missing_bytes(path) == len(avi) - last


def open_dml(avi: bytes) -> bytes:
    """The frames of an AVI once more, in a second part as large files have it."""
    start = movi_start(avi)
    (length,) = struct.unpack("<I", avi[start + 4 : start + 8])
    frames = avi[start : start + 8 + length]
    first = patch(avi, 4, len(avi) - 8)
    return first + b"RIFF" + struct.pack("<I", len(frames) + 4) + b"AVIX" + frames


def test_the_second_part_of_a_large_avi_counts(avi, tmp_path):
    data = open_dml(avi)
    assert missing_bytes(put(tmp_path / "a.avi", data)) == 0
    assert missing_bytes(put(tmp_path / "b.avi", data[:-100])) == 100


def test_bytes_after_an_avi_do_no_harm(avi, tmp_path):
    assert missing_bytes(put(tmp_path / "a.avi", avi + b"\0" * 99 + b"RIFF")) == 0


def remux(samples, source: Path, flags: str) -> bytes:
    path = samples.folder / "remuxed.mp4"
    with (
        av.open(str(source)) as old,
        av.open(str(path), "w", container_options={"movflags": flags}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return bytes(path.read_bytes())


def test_an_mp4_whose_last_box_claims_too_much_is_whole_where_every_sample_is_there(
    samples, tmp_path
):
    data = remux(samples, samples.make("in.mp4"), "+faststart")
    box = data.index(b"mdat") - 4
    (length,) = struct.unpack(">I", data[box : box + 4])
    assert box + length == len(data), "the frames come last"
    path = put(tmp_path / "a.mp4", data[:box] + struct.pack(">I", length + 8) + data[box + 4 :])
    assert missing_bytes(path) == 0
    assert missing_bytes(put(tmp_path / "b.mp4", data[:-1])) == 1


def test_a_fragmented_mp4_is_cut_off_where_its_last_fragment_is(samples, tmp_path):
    source = samples.make("in.mp4", frames=50, options={"g": "5"})
    data = remux(samples, source, "+frag_keyframe+empty_moov")
    cut = data[: data.rindex(b"mdat") + 10]
    assert missing_bytes(put(tmp_path / "a.mp4", data)) == 0
    assert missing_bytes(put(tmp_path / "b.mp4", cut)) > 0


def test_padding_and_seek_tables_may_be_cut(samples, tmp_path):
    whole = remux(samples, samples.make("in.mp4"), "+faststart")
    data = whole + struct.pack(">I4s", 1000, b"free") + bytes(10)
    assert missing_bytes(put(tmp_path / "a.mp4", data)) == 0


def test_a_matroska_file_may_lack_its_index(samples, tmp_path):
    data = samples.make("in.mkv", frames=30).read_bytes()
    cues = data.rindex(b"\x1c\x53\xbb\x6b")
    assert missing_bytes(put(tmp_path / "a.mkv", data[: cues + 6])) == 0
    assert missing_bytes(put(tmp_path / "b.mkv", data[: cues - 6])) > 0


@pytest.fixture
def y4m(samples) -> bytes:
    source = samples.make("whole.mkv", codec="ffv1", frames=5, size=(49, 33))
    samples.copy(source, source.with_name("whole.y4m"))
    return bytes(source.with_name("whole.y4m").read_bytes())


FRAME_BYTES = 49 * 33 + 2 * 25 * 17


@pytest.mark.parametrize("lacking", [1, 100, FRAME_BYTES, FRAME_BYTES + 1, FRAME_BYTES + 4])
@pytest.mark.parametrize("line", [b"FRAME\n", b"FRAME Ip XANYTHING\n"])
def test_a_y4m_that_ends_within_a_frame_is_cut_off(y4m, tmp_path, lacking, line):
    data = y4m.replace(b"FRAME\n", line)
    whole = put(tmp_path / "whole.y4m", data)
    assert missing_bytes(whole) == 0
    assert count_frames(whole) == 5
    in_line = max(0, lacking - FRAME_BYTES)
    cut = put(tmp_path / "cut.y4m", data[:-lacking] + b"\n" * (in_line == 1))
    assert missing_bytes(cut) == min(lacking, FRAME_BYTES)
    with pytest.raises(InputError, match="cut off"):
        open_video(cut)
    with open_video(cut, frames=4) as video:  # what is there can still be had
        assert sum(1 for _ in video) == 4


def test_a_y4m_that_ends_between_frames_is_whole(y4m, tmp_path):
    path = put(tmp_path / "a.y4m", y4m[: -FRAME_BYTES - len(b"FRAME\n")])
    assert missing_bytes(path) == 0
    assert count_frames(path) == 4


@pytest.mark.parametrize(("name", "codec"), [("a.flv", "flv1"), ("a.ivf", "libvpx-vp9")])
def test_a_recording_that_breaks_off_is_used_and_said(samples, tmp_path, caplog, name, codec):
    source = samples.make(name, codec=codec, frames=FRAMES)
    assert count_frames(source) == FRAMES
    assert "breaks off" not in caplog.text
    cut = put(tmp_path / name, source.read_bytes()[:-30])
    assert count_frames(cut) >= FRAMES - 1
    assert "breaks off within a frame" in caplog.text


def test_a_live_recording_that_breaks_off_is_used_and_said(tmp_path, caplog):
    path = tmp_path / "live.mkv"
    with av.open(str(path), "w", container_options={"live": "1"}) as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height = 64, 48
        for _ in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    assert count_frames(path) == FRAMES
    assert "breaks off" not in caplog.text
    cut = put(tmp_path / "cut.mkv", path.read_bytes()[:-3])
    assert count_frames(cut) == FRAMES - 1
    assert "breaks off within a frame" in caplog.text


@pytest.mark.parametrize(("size", "is_missing"), [("ff" * 7, False), ("00" * 6 + "90", True)])
def test_a_size_beyond_any_file_system_is_no_error(tmp_path, size, is_missing):
    """Nobody can go to such a place; the segment's own size is unknown, or too large, too."""
    segment = bytes.fromhex("1a45dfa3 80 18538067 01" + size)
    cluster = bytes.fromhex("1f43b675 01 fffffffffffff0") + bytes(100)
    path = put(tmp_path / "a.mkv", segment + cluster)
    assert find_ending(path, "matroska,webm") == "torn"
    assert (missing_bytes(path) > 0) == is_missing
