"""Strength 0: what comes out is what went in, and no model is asked."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from refvid.media.encoding import Encoding
from refvid.media.frame_range import FrameRange
from refvid.media.inputs import Job
from refvid.media.output_plan import plan_output
from refvid.media.reader import open_video
from refvid.media.stream_marks import Crop
from refvid.media.video_info import read_video_info
from refvid.rebuild.enhance import enhance
from refvid.rebuild.options import RebuildOptions
from refvid.rebuild.reference_options import References
from refvid.rebuild.unchanged import no_model, what_changes


def samples(path, start=0, stop=None):
    """Every plane of every frame, as it came from the decoder."""
    with av.open(str(path)) as container:
        pictures = list(container.decode(video=0))[start:stop]
        return [[bytes(plane) for plane in picture.planes] for picture in pictures]


def shown(picture):
    """The same of one picture, without what fills the ends of its rows."""
    rows = [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        for plane in picture.planes
    ]
    return [
        row[:, : plane.width * (1 + ("10" in picture.format.name))].tobytes()
        for row, plane in zip(rows, picture.planes, strict=True)
    ]


def run(source, output, **options):
    return enhance(
        Job(source=source, output=output),
        References(),
        RebuildOptions(strength=0, **options),
        no_model(),
    )


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [
        ("libx264", "yuv420p"),
        ("libx264", "yuv444p"),
        ("libx264", "yuv422p10le"),
        ("mjpeg", "yuvj420p"),
        ("ffv1", "bgr0"),
    ],
)
def test_frames_are_stored_bit_for_bit(make_video, tmp_path, codec, pix_fmt):
    source = make_video(20, "source.mkv", codec=codec, pix_fmt=pix_fmt, options={})
    output = tmp_path / "out.mkv"
    report = run(source, output, encoding=Encoding(codec="ffv1"))
    assert samples(output) == samples(source)
    assert "strength 0: the frames are the input's own, bit for bit" in report.plan.notes
    assert report.plan.model == "none"


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "target"),
    [
        ("rawvideo", "uyvy422", "yuv422p"),
        ("rawvideo", "nv12", "yuv420p"),
        ("rawvideo", "yuyv422", "yuv422p"),
        ("ffv1", "yuva420p", "yuv420p"),
        ("ffv1", "yuva444p10le", "yuv444p10le"),
    ],
)
def test_samples_that_only_lie_elsewhere_are_kept(make_video, tmp_path, codec, pix_fmt, target):
    """Packed in another way, or beside transparency, which goes."""
    source = make_video(4, "source.nut", codec=codec, pix_fmt=pix_fmt, options={})
    report = run(source, tmp_path / "out.mkv", encoding=Encoding(codec="ffv1"))
    with av.open(str(source)) as container:
        wanted = [shown(picture.reformat(format=target)) for picture in container.decode(video=0)]
    with av.open(str(tmp_path / "out.mkv")) as container:
        got = [shown(picture) for picture in container.decode(video=0)]
    assert report.plan.pix_fmt == target
    assert got == wanted
    assert "strength 0: the frames are the input's own, bit for bit" in report.plan.notes


@pytest.mark.parametrize("codec", ["mjpeg", "libx264"])
def test_another_range_is_computed(make_video, tmp_path, codec):
    """The samples of yuv420p are not those of yuvj420p where the range is limited."""
    source = make_video(2, pix_fmt="yuv420p")
    output = tmp_path / "out.mkv"
    run(source, output, encoding=Encoding(codec=codec, pix_fmt="yuvj420p"))
    with open_video(source) as one, open_video(output) as other:
        for before, after in zip(one, other, strict=True):
            assert abs(int(before.pixels.min()) - int(after.pixels.min())) <= 8
            assert abs(before.pixels.mean() - after.pixels.mean()) <= 2
            assert abs(before.pixels.std() - after.pixels.std()) <= 3


def test_a_part(make_video, tmp_path):
    source = make_video(20, pix_fmt="yuv420p")
    part = FrameRange(start=Fraction(1, 5), frames=6)
    run(source, tmp_path / "out.mkv", encoding=Encoding(codec="ffv1"), range=part)
    assert samples(tmp_path / "out.mkv") == samples(source, 5, 11)


def test_lossless_h264(make_video, tmp_path):
    source = make_video(8, pix_fmt="yuv420p")
    report = run(source, tmp_path / "out.mp4", encoding=Encoding(encoder_options={"qp": "0"}))
    assert samples(tmp_path / "out.mp4") == samples(source)
    assert any("bit for bit" in note for note in report.plan.notes)


def test_the_encoder_chooses_its_own_key_frames(make_video, tmp_path):
    every = make_video(20, "every.mp4", pix_fmt="yuv420p", options={"g": "1"})
    run(every, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert sum(packet.is_keyframe for packet in packets) == 1


@pytest.mark.parametrize(
    ("encoding", "name", "words"),
    [
        (Encoding(), "out.mp4", "but h264 changes them a little; -c ffv1"),
        (Encoding(crf=0), "out.mp4", "bit for bit"),
        (Encoding(codec="ffv1", pix_fmt="yuv444p"), "out.mkv", "turned into yuv444p and stored"),
        (Encoding(), "out_%d.png", "turned into rgb24 and stored without loss"),
        (Encoding(), "out_%d.jpg", "but jpg changes them a little"),
    ],
)
def test_what_is_said(make_video, tmp_path, encoding, name, words):
    info = read_video_info(make_video(2, pix_fmt="yuv420p"))
    assert words in what_changes(info, plan_output(tmp_path / name, info, encoding))


def test_what_is_said_of_turned_video(make_video, tmp_path):
    info = replace(read_video_info(make_video(2, pix_fmt="yuv420p")), rotation=90)
    plan = plan_output(tmp_path / "out.mkv", info, Encoding(codec="ffv1"))
    assert "turned upright by way of RGB, and stored without loss" in what_changes(info, plan)


def test_what_is_said_of_mirrored_video(make_video, tmp_path):
    info = replace(read_video_info(make_video(2, pix_fmt="yuv420p")), is_mirrored=True)
    plan = plan_output(tmp_path / "out.mkv", info, Encoding(codec="ffv1"))
    assert "turned upright by way of RGB, and stored without loss" in what_changes(info, plan)


def test_what_is_said_of_another_range(make_video, tmp_path):
    info = read_video_info(make_video(2, pix_fmt="yuv420p"))
    encoding = Encoding(pix_fmt="yuvj420p", encoder_options={"qp": "0"})
    plan = plan_output(tmp_path / "out.mp4", info, encoding)
    assert "turned into yuvj420p and stored without loss" in what_changes(info, plan)


def test_what_is_said_of_video_that_its_container_crops(make_video, tmp_path):
    info = replace(read_video_info(make_video(2, pix_fmt="yuv420p")), crop=Crop(left=3))
    plan = plan_output(tmp_path / "out.mkv", info, Encoding(codec="ffv1"))
    assert "cropped as shown by way of RGB, and stored without loss" in what_changes(info, plan)


def test_pixels_of_images(tmp_path):
    from refvid.media.image import read_image, write_image

    pixels = np.random.default_rng(0).integers(0, 65536, (10, 12, 3)).astype(np.uint16)
    write_image(tmp_path / "in.png", pixels)
    report = run(tmp_path / "in.png", tmp_path / "out.png")
    assert np.array_equal(read_image(tmp_path / "out.png"), pixels)
    assert any("bit for bit" in note for note in report.plan.notes)
