"""Whatever a recording's clock does: every frame comes out, times rise, sound stays in sync.

Transport streams carry the times of picture and sound in headers of fixed size. Here they are
written anew: set back, set ahead, repeated, left out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refvid.media.reader import open_video
from refvid.media.writer import create_video

TICKS = 90_000
FRAME = 3600
FRAMES = 60
PICTURE, SOUND = 256, 257
EARLIER = FRAME + 900
PACKET = 188


@pytest.fixture(scope="module")
def recording() -> Iterator[Path]:
    """Picture and sound that begin together."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.ts"
        with av.open(str(path), "w") as container:
            options = {"preset": "ultrafast", "g": "10"}
            video = container.add_stream("libx264", rate=25, width=48, height=32, options=options)
            video.codec_context.max_b_frames = 0
            sound = container.add_stream("aac", rate=48000)
            for index in range(FRAMES):
                picture = av.VideoFrame.from_ndarray(
                    np.full((32, 48, 3), 4 * index, np.uint8), format="rgb24"
                )
                picture.pts = index
                container.mux(video.encode(picture))
                samples = np.zeros((2, 1920), np.float32)
                frame = av.AudioFrame.from_ndarray(samples, format="fltp")
                frame.sample_rate, frame.pts = 48000, 1920 * index
                container.mux(sound.encode(frame))
            container.mux(video.encode(None))
            container.mux(sound.encode(None))
        yield path


def with_times(stream: bytes, change) -> bytes:
    """Give every PES packet with a time another one: `change(pid, number, time)`, or None."""
    data = bytearray(stream)
    counts = {PICTURE: 0, SOUND: 0}
    for start in range(0, len(data), PACKET):
        pid = int.from_bytes(data[start + 1 : start + 3]) & 0x1FFF
        if pid not in counts or not data[start + 1] & 0x40:
            continue
        header = start + 4 + (1 + data[start + 4] if data[start + 3] & 0x20 else 0)
        assert data[header : header + 3] == b"\0\0\1"
        assert data[header + 7] >> 6 == 2, "a time of decoding was not expected"
        field = data[header + 9 : header + 14]
        old = (field[0] >> 1 & 7) << 30 | field[1] << 22 | field[2] >> 1 << 15
        old |= field[3] << 7 | field[4] >> 1
        new = change(pid, counts[pid], old)
        counts[pid] += 1
        if new is None:
            data[header + 7] &= 0x3F
            data[header + 9 : header + 14] = b"\xff" * 5
            continue
        new %= 2**33
        data[header + 9] = 0x21 | new >> 29 & 0xE
        data[header + 10] = new >> 22 & 0xFF
        data[header + 11] = new >> 14 & 0xFE | 1
        data[header + 12] = new >> 7 & 0xFF
        data[header + 13] = new << 1 & 0xFE | 1
    return bytes(data)


def copy(source: Path, output: Path) -> tuple[list[Fraction], list[Fraction]]:
    """Write a recording anew; return when frames and packets of sound are in the result."""
    with (
        open_video(source) as video,
        create_video(output, like=video.info, trim=video.trim) as writer,
    ):
        frames = [frame for frame in video if writer.write(frame.pixels, frame) is None]  # type: ignore[func-returns-value]
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(earlier.pts < later.pts for earlier, later in pairwise(frames))
    times: dict[str, list[Fraction]] = {"video": [], "audio": []}
    with av.open(str(output)) as container:
        for packet in container.demux():
            if packet.pts is not None and packet.size:
                times[packet.stream.type].append(packet.pts * packet.time_base)
    assert len(times["video"]) == len(frames)
    return sorted(times["video"]), times["audio"]


BAD = st.sampled_from(["repeat", "earlier", "missing"])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    offset=st.sampled_from([0, 3600 * TICKS, 2**33 - TICKS]),
    jumps=st.dictionaries(
        st.integers(20, 40),
        st.integers(-(10**5), -1) | st.integers(11, 10**4),
        max_size=1,
    ),
    bad=st.dictionaries(st.integers(2, FRAMES - 3), BAD, max_size=8),
    suffix=st.sampled_from([".mp4", ".mkv"]),
)
def test_any_clock(recording, tmp_path, offset, jumps, bad, suffix):
    bad = {frame: kind for frame, kind in bad.items() if frame % 4}

    def shift(time: int) -> int:
        """How far the clock is off at a time of the recording."""
        return offset + sum(by * TICKS for frame, by in jumps.items() if time >= frame * FRAME)

    first = []

    def change(pid: int, number: int, time: int) -> int | None:
        first.append(time)
        since = time - first[0]
        if pid == PICTURE:
            kind = bad.get(number)
            since -= {"repeat": FRAME, "earlier": EARLIER}.get(kind or "", 0)
            if kind == "missing":
                return None
            return first[0] + since + shift(number * FRAME)
        return first[0] + since + shift(since)

    source, output = tmp_path / "in.ts", tmp_path / f"out{suffix}"
    source.write_bytes(with_times(recording.read_bytes(), change))
    output.unlink(missing_ok=True)
    pictures, sound = copy(source, output)
    assert len(pictures) == FRAMES
    assert all(earlier <= later for earlier, later in pairwise(pictures))
    rounding = Fraction(1, 1000)
    frame, packet = Fraction(FRAME, TICKS), Fraction(1024, 48000)
    # Where two clocks meet, there may be a gap: of a frame, and of the sound that lay ahead.
    gaps = len(jumps) * (frame + 5 * packet)
    assert pictures[0] - min(*sound, pictures[0]) <= frame + packet
    assert abs(pictures[-1] - pictures[0] - frame * (FRAMES - 1)) <= gaps + rounding
    assert abs(sound[-1] - sound[0] - packet * (len(sound) - 1)) <= gaps + 2 * rounding
    if suffix == ".mp4":
        assert all(earlier < later for earlier, later in pairwise(sound))
    # At both ends picture and sound are as far apart as they were.
    drift = (sound[-1] - pictures[-1]) - (sound[0] - pictures[0])
    expected = packet * (len(sound) - 1) - frame * (FRAMES - 1)
    assert abs(drift - expected) <= frame + 2 * rounding
    if not jumps:
        for index, time in enumerate(pictures):
            is_near = any(abs(index - near) <= 1 for near in bad)
            # A wrong time that rises all the same is believed.
            allowed = Fraction(EARLIER, TICKS) if is_near else 2 * rounding
            assert abs(time - pictures[0] - index * frame) <= allowed
