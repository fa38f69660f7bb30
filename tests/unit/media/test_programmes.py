"""Several channels in one recording: one is worked on, with its own sound."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refvid.media.encoding import Encoding
from refvid.media.output_plan import plan_output
from refvid.media.programmes import read_programmes
from refvid.media.video_info import read_video_info

PACKET = 188
NAMES_AND_TABLES = (0, 17)
PLACES = (0x1000, 0x1010)


def channel(path: Path, number: int, starts: int) -> list[bytes]:
    """Packets of a channel whose clock begins at some second, with other numbers for each."""
    options = {
        "mpegts_service_id": str(number + 1),
        "mpegts_start_pid": str(0x100 * (number + 1)),
        "mpegts_pmt_start_pid": str(PLACES[number]),
        "output_ts_offset": str(starts * 10**6),
    }
    with av.open(str(path), "w", format="mpegts", container_options=options) as container:
        video = container.add_stream("mpeg2video", rate=25, width=64 + 32 * number, height=48)
        sound = container.add_stream("mp2", rate=48000)
        sound.metadata["language"] = ("eng", "fra")[number]
        for index in range(12):
            picture = av.VideoFrame(video.width, video.height, "yuv420p")
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(video.encode(picture))
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 24000), np.int16), "s16", "stereo")
        heard.sample_rate, heard.pts = 48000, 0
        for one in (*sound.encode(heard), *sound.encode(None), *video.encode(None)):
            container.mux(one)
    data = path.read_bytes()
    packets = [data[at : at + PACKET] for at in range(0, len(data), PACKET)]
    return [one for one in packets if number_of(one) not in NAMES_AND_TABLES]


def number_of(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def checksum(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value


def list_of_both() -> bytes:
    entries = b"".join(struct.pack(">HH", n + 1, 0xE000 | place) for n, place in enumerate(PLACES))
    table = struct.pack(">BHHBBB", 0, 0xB000 | (len(entries) + 9), 1, 0xC1, 0, 0) + entries
    table += struct.pack(">I", checksum(table))
    return (b"\x47\x40\x00\x10\x00" + table).ljust(PACKET, b"\xff")


@pytest.fixture(params=[0, 1])
def recording(request, tmp_path) -> tuple[Path, int]:
    """A file of two channels, and the number of that whose video comes first."""
    first = request.param
    packets = [channel(tmp_path / f"{n}.ts", n, starts=(0, 3600)[n]) for n in (first, 1 - first)]
    longest = max(map(len, packets))
    together = [
        one
        for index in range(longest)
        for some in packets
        for one in some[-(-index * len(some) // longest) : -(-(index + 1) * len(some) // longest)]
    ]
    path = tmp_path / "both.ts"
    path.write_bytes(list_of_both() + b"".join(together))
    return path, first


def test_the_tables_are_read(recording):
    path, _ = recording
    found = read_programmes(path.read_bytes())
    assert sorted(map(sorted, found)) == [[0x100, 0x101], [0x200, 0x201]]


@pytest.mark.parametrize(("before", "behind"), [(4, 0), (0, 16), (0, 0)])
def test_with_more_around_the_packets(recording, before, behind):
    data = recording[0].read_bytes()
    packets = [data[at : at + PACKET] for at in range(0, len(data), PACKET)]
    wider = b"".join(bytes(before) + packet + bytes(behind) for packet in packets)
    assert len(read_programmes(bytes(7) + wider)) == 2


def test_only_the_video_s_own_sound_goes_over(samples, recording, caplog):
    path, first = recording
    info = read_video_info(path)
    assert info.width == 64 + 32 * first
    output = samples.folder / "out.mkv"
    notes = plan_output(output, info, Encoding()).notes
    assert "other programmes of the file are left out: 2 tracks" in notes
    samples.copy(path, output)
    after = read_video_info(output)
    assert [track.language for track in after.audio] == [("eng", "fra")[first]]
    assert after.start_time < Fraction(1, 10)
    assert len(samples.read(output)) == 12
    assert "its clock is set anew" not in caplog.text


def test_one_programme_is_all(samples):
    path = samples.make("a.ts", codec="mpeg2video", audio=["mp2:eng", "mp2:fra"])
    samples.copy(path, samples.folder / "out.mkv")
    assert len(read_video_info(samples.folder / "out.mkv").audio) == 2


@given(st.lists(st.binary(min_size=187, max_size=187), min_size=8, max_size=12))
def test_nonsense_names_no_programmes_or_some(packets):
    tables = [b"\x40\x00" + packet[2:] for packet in packets[::2]]
    for some in (packets, tables * 4):
        read_programmes(b"".join(b"\x47" + one for one in some))
