"""y4m from a pipe: the same frames as from a file, and nothing but its beginning on disk."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from refvid.errors import InputError, OutputError
from refvid.media.frame_range import FrameRange
from refvid.media.piped_video import PipedResult, PipedVideo
from refvid.media.reader import open_video
from refvid.media.y4m import START, FrameEnds

FRAMES, WIDTH, HEIGHT = 9, 97, 63


class Pipe(io.BytesIO):
    """Nothing can seek in it."""

    def seek(self, *_: Any) -> int:
        raise OSError("a pipe")

    def seekable(self) -> bool:
        return False


def write_y4m(path: Path, pix_fmt: str = "yuv420p") -> bytes:
    strict = {"strict": "-1"}
    with av.open(str(path), "w", format="yuv4mpegpipe", container_options=strict) as container:
        stream: Any = container.add_stream("rawvideo", rate=24)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        for index in range(FRAMES):
            random = np.random.default_rng(index)
            pixels = random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
            picture = av.VideoFrame.from_ndarray(pixels, "rgb24")
            container.mux(stream.encode(picture.reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
    return path.read_bytes()


def begin(data: bytes, folder: Path) -> PipedVideo | None:
    pipe = Pipe(data)
    return PipedVideo.begin(pipe.read(len(START)), pipe, folder / "beginning")


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "gray", "yuv444p12le", "yuv444p"])
@pytest.mark.parametrize("part", [FrameRange(), FrameRange(start=2, frames=4)])
def test_the_same_as_a_file(tmp_path: Path, pix_fmt: str, part: FrameRange) -> None:
    path = tmp_path / "clip.y4m"
    video = begin(write_y4m(path, pix_fmt), tmp_path)
    assert video is not None
    assert video.info.size == (WIDTH, HEIGHT)
    assert video.info.frame_rate == 24
    assert video.info.frame_count is None
    assert video.info.duration is None
    with video.open(part) as reader:
        piped = list(reader)
    with open_video(path, part) as reader:
        expected = list(reader)
    assert [(one.index, one.pts) for one in piped] == [(one.index, one.pts) for one in expected]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(piped, expected, strict=True))


def test_little_of_it_is_kept(tmp_path: Path) -> None:
    data = write_y4m(tmp_path / "clip.y4m")
    frames = data[data.index(b"\n") + 1 :]
    long = begin(data + 20 * frames, tmp_path)
    assert long is not None
    assert long.beginning.stat().st_size < WIDTH * HEIGHT * 6 + 2048
    with long.open(FrameRange()) as reader:
        assert sum(1 for _ in reader) == 21 * FRAMES


@pytest.mark.parametrize(
    "data",
    [
        b"YUV4MPEG2 W0 H0 F24:1\nFRAME\n",
        b"YUV4MPEG2 W99999 H99999 F24:1\nFRAME\n",
        b"YUV4MPEG2 W16\n",
        b"YUV4MPEG2 " + b"X" * 5000,
        b"YUV4MPEG2 ",
    ],
)
def test_what_it_does_not_take_is_kept_for_others(tmp_path: Path, data: bytes) -> None:
    pipe = Pipe(data)
    assert PipedVideo.begin(pipe.read(10), pipe, tmp_path / "beginning") is None
    assert (tmp_path / "beginning").read_bytes() + pipe.read() == data


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        begin(b"YUV4MPEG2 W64 H64 F24:1 C420jpeg\nNOTHING" + bytes(9000), tmp_path)


def test_nobody_reads_the_result() -> None:
    class Closed(io.BytesIO):
        def write(self, data: Any) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(OutputError, match="standard output: Broken pipe"):
        PipedResult(Closed()).write(b"x")


@pytest.mark.parametrize("lacking", [1, 5000, 9000])
def test_a_frame_that_is_not_whole_is_said(tmp_path: Path, lacking: int) -> None:
    cut = begin(write_y4m(tmp_path / "clip.y4m")[:-lacking], tmp_path)
    assert cut is not None
    with cut.open(FrameRange()) as reader:
        for _ in range(FRAMES - 1):
            next(reader)
        with pytest.raises(InputError, match="piped in is cut off: it lacks"):
            next(reader)


def test_what_is_whole_before_a_cut_can_be_had(tmp_path: Path) -> None:
    cut = begin(write_y4m(tmp_path / "clip.y4m")[:-1], tmp_path)
    assert cut is not None
    with cut.open(FrameRange(frames=FRAMES - 1)) as reader:
        assert sum(1 for _ in reader) == FRAMES - 1


@pytest.mark.parametrize("step", [1, 7, 100, 10**6])
def test_ends_are_followed_in_pieces_of_any_size(tmp_path: Path, step: int) -> None:
    data = write_y4m(tmp_path / "clip.y4m", "gray").replace(b"FRAME\n", b"FRAME Ip\n")
    size = WIDTH * HEIGHT
    for lacking, told in ((0, 0), (1, 1), (size, size), (size + 3, size), (size + 9, 0)):
        ends = FrameEnds(size)
        part = data[: len(data) - lacking]
        for position in range(0, len(part), step):
            ends.add(part[position : position + step])
        assert ends.lacking == told
