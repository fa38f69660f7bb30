"""YUV4MPEG2: samples as they are, and everything else said to be lost."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from refvid.errors import OutputError
from refvid.media.encoding import Encoding
from refvid.media.output_plan import plan_output
from refvid.media.reader import open_video
from refvid.media.video_info import read_video_info


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "word"),
    [
        ("libx264", "yuv420p", b"C420mpeg2"),
        ("libx264", "yuv422p", b"C422"),
        ("libx264", "yuv444p", b"C444"),
        ("libx264", "yuv420p10le", b"C420p10"),
        ("ffv1", "yuv422p12le", b"C422p12"),
        ("ffv1", "gray", b"Cmono"),
        ("ffv1", "gray16le", b"Cmono16"),
    ],
)
@pytest.mark.parametrize("full_range", [False, True])
def test_format_and_range_are_the_sources(samples, codec, pix_fmt, word, full_range) -> None:
    color = (1, 2 if full_range else 1, 1, 1)
    source = samples.make("in.mkv", codec=codec, pix_fmt=pix_fmt, color=color, frames=3)
    output = source.with_name("out.y4m")
    samples.copy(source, output)
    header = output.read_bytes().partition(b"\n")[0].split()
    assert word in header
    assert (b"XCOLORRANGE=FULL" if full_range else b"XCOLORRANGE=LIMITED") in header
    info = read_video_info(output)
    assert info.pix_fmt.replace("yuvj", "yuv") == pix_fmt
    assert info.frame_rate == 25
    assert info.color.range == 1 + full_range
    largest = 255 if info.bit_depth == 8 else 65535
    tagged = replace(info, color=read_video_info(source).color)  # it has no tags
    with open_video(output, info=tagged) as copied, open_video(source) as originals:
        for one, other in zip(copied, originals, strict=True):
            difference = np.abs(one.pixels.astype(int) - other.pixels)
            assert difference.mean() < largest / 100


def test_pictures_without_a_matrix(samples) -> None:
    source = samples.make("in.mkv", codec="ffv1", pix_fmt="bgr0", color=(0, 2, 2, 2), frames=2)
    output = source.with_name("out.y4m")
    samples.copy(source, output)
    assert read_video_info(output).pix_fmt == "yuv444p"


def test_what_is_lost_is_said(samples) -> None:
    source = samples.make(
        "in.mkv",
        audio=["aac"],
        subtitles=["srt"],
        chapters=[(0, 100, "one")],
        metadata={"title": "x"},
        aspect=Fraction(4, 3),
        color=(1, 1, 1, 1),
    )
    info = read_video_info(source)
    notes = plan_output(source.with_name("out.y4m"), info, Encoding()).notes
    assert "y4m holds pictures only: sound, subtitles, chapters, tags are left out" in notes
    assert "y4m is written without the pixel shape 4/3" in notes
    assert any("tell whoever reads it that it is bt709, bt709, bt709" in note for note in notes)
    with pytest.raises(OutputError, match=r"sound of .* cannot be stored in y4m"):
        plan_output(source.with_name("out.y4m"), info, Encoding(audio="copy"))
    quiet = Encoding(audio="none", subtitles="none", metadata=False)
    notes = plan_output(source.with_name("out.y4m"), info, quiet).notes
    assert not any("pictures only" in note for note in notes)


def test_no_codec_goes_into_it(samples) -> None:
    info = read_video_info(samples.make())
    with pytest.raises(OutputError, match="h264"):
        plan_output(info.path.with_name("out.y4m"), info, Encoding(codec="h264"))
