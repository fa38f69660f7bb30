"""A stream that was joined from several: each of its frames is what its own part says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from refvid.media.color import ColorInfo
from refvid.media.encoding import Encoding
from refvid.media.pixel_conversion import RgbWriter
from refvid.media.reader import open_video
from refvid.media.video_info import read_video_info
from refvid.media.writer import create_video

COLOUR = (180, 70, 40)
LIMITED_709 = ColorInfo(matrix=1, range=1, primaries=1, transfer=1)
FULL_601 = ColorInfo(matrix=6, range=2, primaries=6, transfer=6)
PQ = ColorInfo(matrix=1, range=1, primaries=9, transfer=16)


def part(path: Path, color: ColorInfo, pix_fmt: str = "yuv420p") -> bytes:
    """Five frames of one colour, as bare H.264."""
    writer = RgbWriter(pix_fmt, color)
    with av.open(str(path), "w", format="h264") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"qp": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        context = stream.codec_context
        context.color_range, context.colorspace = color.range, color.matrix
        context.color_primaries, context.color_trc = color.primaries, color.transfer
        for _ in range(5):
            container.mux(stream.encode(writer.write(np.full((48, 64, 3), COLOUR, np.uint8))))
        container.mux(stream.encode(None))
    return path.read_bytes()


@pytest.fixture
def join(tmp_path: Path):
    def join(*parts: tuple[Any, ...]) -> Path:
        joined = b"".join(part(tmp_path / "part.h264", *one) for one in parts)
        path = tmp_path / "joined.h264"
        path.write_bytes(joined)
        return path

    return join


def warnings(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("colors", [(LIMITED_709, FULL_601), (FULL_601, LIMITED_709)])
@pytest.mark.parametrize("keep_decoded", [False, True])
def test_every_frame_has_the_colours_of_its_own_tags(join, colors, keep_decoded, caplog):
    source = join(*((color,) for color in colors))
    output = source.with_name("out.mkv")
    with (
        open_video(source, keep_decoded=keep_decoded) as video,
        create_video(output, like=video.info, encoding=Encoding(codec="ffv1")) as writer,
    ):
        for frame in video:
            assert np.abs(frame.pixels.astype(int) - COLOUR).max() <= 3, frame.index
            if keep_decoded:
                writer.write_unchanged(frame)
            else:
                writer.write(frame.pixels, frame)
    assert "of another matrix or range, converted: 5, the first is frame 5" in warnings(caplog)
    with open_video(output) as video:
        for frame in video:
            assert np.abs(frame.pixels.astype(int) - COLOUR).max() <= 4, frame.index


@pytest.mark.parametrize("formats", [("yuv420p", "yuv422p10le"), ("yuv422p10le", "yuv420p")])
def test_all_frames_have_the_depth_of_the_first(join, formats, caplog):
    source = join(*((LIMITED_709, pix_fmt) for pix_fmt in formats))
    depth = read_video_info(source).bit_depth
    with open_video(source) as video:
        frames = list(video)
    assert len(frames) == 10
    assert {frame.pixels.dtype for frame in frames} == {np.dtype(f"uint{8 if depth == 8 else 16}")}
    white = 255 if depth == 8 else 65535
    for frame in frames:
        assert np.abs(frame.pixels / white * 255 - COLOUR).max() <= 3
    assert "in another pixel format, converted: 5, the first is frame 5" in warnings(caplog)


def test_light_that_no_conversion_knows_is_said(join, caplog):
    source = join((LIMITED_709,), (PQ,))
    with open_video(source) as video:
        assert len(list(video)) == 10
    assert "other primaries or another transfer: 5, the first is frame 5" in warnings(caplog)


def test_one_stream_of_one_kind_says_nothing(join, caplog):
    source = join((FULL_601,), (FULL_601,))
    with open_video(source) as video:
        assert len(list(video)) == 10
    assert warnings(caplog) == ""
