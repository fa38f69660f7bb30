"""Colours: against the formulas of H.273, and through whole files."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from refvid.media.color import ColorInfo, resolve_color
from refvid.media.encoding import Encoding
from refvid.media.pixel_conversion import _SWSCALE_FLAGS, RgbReader, RgbWriter
from refvid.media.video_info import read_video_info

# Kr and Kb, written down again on purpose.
WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593), 7: (0.212, 0.087)}


def expected_code_values(rgb, matrix, color_range, depth):
    red, blue = WEIGHTS[matrix]
    r, g, b = np.moveaxis(rgb, -1, 0)
    luma = red * r + (1 - red - blue) * g + blue * b
    cb, cr = (b - luma) / (2 * (1 - blue)), (r - luma) / (2 * (1 - red))
    if color_range == 1:
        unit = 2 ** (depth - 8)
        return [(16 + 219 * luma) * unit, (128 + 224 * cb) * unit, (128 + 224 * cr) * unit]
    peak, middle = 2**depth - 1, 2 ** (depth - 1)
    return [luma * peak, np.minimum(cb * peak + middle, peak), np.minimum(cr * peak + middle, peak)]


def planes_of(frame, depth):
    kind = np.uint8 if depth == 8 else np.uint16
    return [
        np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes
    ]


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("color_range", [1, 2])
@pytest.mark.parametrize("matrix", list(WEIGHTS))
def test_matrix_and_range_follow_the_standard(matrix, color_range, depth):
    generator = np.random.default_rng(matrix * 10 + depth)
    white = 255 if depth == 8 else 65535
    values = generator.integers(0, white + 1, (20, 24, 3))
    values[0], values[1] = 0, white
    pixels: Any = values.astype(np.uint8 if depth == 8 else np.uint16)
    color = ColorInfo(matrix=matrix, range=color_range)
    pix_fmt = "yuv444p" if depth == 8 else f"yuv444p{depth}le"
    frame = RgbWriter(pix_fmt, color).write(pixels)
    wanted = expected_code_values(pixels / white, matrix, color_range, depth)
    for plane, expected in zip(planes_of(frame, depth), wanted, strict=True):
        # libswscale, which does the 8-bit conversion, is up to one code off in full range
        assert np.abs(plane - expected).max() <= (1.1 if depth == 8 else 0.51)
    back = RgbReader(color).read(frame, 24, 20)
    assert back.dtype == pixels.dtype
    # one code of chroma is up to two of blue
    codes = 2 ** min(depth, 10) - 1
    assert np.abs(back.astype(int) - pixels).max() / white <= 2.6 / codes
    assert (frame.colorspace, frame.color_range) == (matrix, color_range)


def test_swapping_matrices_would_be_seen():
    pixels = np.full((8, 8, 3), (200, 30, 30), np.uint8)
    frame = RgbWriter("yuv420p", ColorInfo(matrix=1, range=1)).write(pixels)
    wrong = RgbReader(ColorInfo(matrix=6, range=1)).read(frame, 8, 8)
    assert np.abs(wrong.astype(int) - pixels).max() > 8


@pytest.mark.parametrize(
    ("pix_fmt", "white"),
    [
        ("gray", 255),
        ("gray10le", 65535),
        ("gbrp", 255),
        ("gbrp10le", 65535),
        ("rgb48be", 65535),
        ("yuva420p", 255),
        ("nv12", 255),
        ("p010le", 65535),
        ("yuv411p", 255),
        ("pal8", 255),
    ],
)
def test_black_and_white_of_unusual_formats(pix_fmt, white):
    from refvid.media.pixel_conversion import is_rgb

    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, 16:] = 255
    color = ColorInfo(matrix=6, range=2 if is_rgb(pix_fmt) or pix_fmt == "gray" else 1)
    if pix_fmt == "pal8":
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="rgb8")
    else:
        frame = RgbWriter(pix_fmt, color).write(pixels)
    read = RgbReader(color).read(frame, 32, 16)
    # the palette's own white is 252
    assert np.abs(read[:, :12].astype(int)).max() <= white * 0.012
    assert np.abs(read[:, 20:].astype(int) - white).max() <= white * 0.012


TAGS = {
    "601": (6, 1, 6, 6),
    "601 PAL": (5, 1, 5, 6),
    "709": (1, 1, 1, 1),
    "709 full": (1, 2, 1, 1),
    "2020": (9, 1, 9, 14),
    "601 full": (6, 2, 6, 6),
}


@pytest.mark.parametrize("name", TAGS)
@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("h264", ".mp4"), ("h264", ".mkv"), ("hevc", ".mp4"), ("vp9", ".webm"), ("av1", ".mkv")],
)
def test_tags_and_colours_survive(samples, name, codec, suffix):
    flat = np.empty((64, 96, 3), np.uint8)
    flat[:32, :48], flat[:32, 48:] = (200, 40, 60), (30, 180, 50)
    flat[32:, :48], flat[32:, 48:] = (40, 60, 210), (235, 235, 235)
    source = samples.make(color=TAGS[name], frames=2, pixels=lambda *_: flat)
    output = samples.folder / f"out{suffix}"
    samples.copy(source, output, encoding=Encoding(codec=codec))
    before, after = read_video_info(source).color, read_video_info(output).color
    assert (before.matrix, before.range, before.primaries, before.transfer) == TAGS[name]
    assert after == before or (name == "601 PAL" and codec == "vp9")
    for path in (source, output):
        pixels = samples.read(path)[0].pixels
        for row in (16, 48):
            for column in (24, 72):
                shown = pixels[row, column].astype(int)
                assert np.abs(shown - flat[row, column]).max() <= 6, (path, row, column)


def test_untagged_video_is_tagged_with_what_was_used(samples):
    source = samples.make(frames=2)
    output = samples.folder / "out.mp4"
    samples.copy(source, output)
    assert read_video_info(source).color == ColorInfo()
    assert read_video_info(output).color == ColorInfo(matrix=6, range=1)


def test_untagged_video_is_taken_by_its_height():
    assert resolve_color(ColorInfo(), 719).matrix == 6
    assert resolve_color(ColorInfo(), 720).matrix == 1
    tagged = ColorInfo(matrix=9, range=2, primaries=9, transfer=16)
    assert resolve_color(tagged, 240) == tagged


def test_hdr_is_recognised(samples):
    for transfer, is_hdr in ((16, True), (18, True), (1, False), (14, False)):
        source = samples.make(frames=1, color=(9, 1, 9, transfer), pix_fmt="yuv420p10le")
        assert read_video_info(source).color.is_hdr is is_hdr


def test_full_range_of_old_jpeg_formats(samples):
    source = samples.make(
        "in.avi", codec="mjpeg", pix_fmt="yuvj420p", color=(5, 2, 2, 2), frames=2, options={}
    )
    info = read_video_info(source)
    assert info.pix_fmt == "yuvj420p"
    assert info.color.range == 2
    output = samples.folder / "out.mp4"
    samples.copy(source, output)
    assert read_video_info(output).color.range == 2
    assert read_video_info(output).codec == "h264"


def test_source_chroma_is_kept(samples):
    for pix_fmt in ("yuv422p", "yuv444p", "yuv422p10le"):
        source = samples.make("in.mkv", pix_fmt=pix_fmt, frames=1, rate=Fraction(30))
        output = samples.folder / "out.mp4"
        samples.copy(source, output, overwrite=True)
        assert read_video_info(output).pix_fmt == pix_fmt


@pytest.mark.parametrize("size", [(1, 1), (35, 19), (64, 48)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj422p", "yuv444p", "nv12", "yuyv422", "gray"])
def test_planes_have_the_numbers_of_packed_rgb(pix_fmt: str, size: tuple[int, int]) -> None:
    """The reader has libswscale write planes, because that is fast."""
    rng = np.random.default_rng(0)
    picture = av.VideoFrame(64, 48, pix_fmt)
    for plane in picture.planes:
        plane.update(rng.integers(0, 256, plane.buffer_size, dtype=np.uint8).tobytes())
    packed = picture.reformat(
        *size, "rgb24", 5, None, _SWSCALE_FLAGS, src_color_range=1, dst_color_range=2, threads=1
    )
    planar = RgbReader(ColorInfo(matrix=6, range=1)).read(picture, *size)
    assert planar.flags.c_contiguous
    np.testing.assert_array_equal(planar, packed.to_ndarray())
