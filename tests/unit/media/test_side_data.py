"""What a stream carries besides pixels is kept, or one note says that it is lost."""

from __future__ import annotations

import io
import logging
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from refvid.errors import InputError
from refvid.media.encoding import Encoding
from refvid.media.inputs import Job
from refvid.media.output_plan import plan_output
from refvid.media.reader import open_video
from refvid.media.video_info import read_video_info
from refvid.rebuild.options import SourceOptions
from refvid.rebuild.plan import read_source
from tests.unit.media.marked_videos import (
    EQUIRECTANGULAR,
    add_box,
    clap,
    dolby_vision,
    encode,
    rewrap,
)

CAPTIONS = bytes([0xFC, 0x94, 0x20, 0xFC, 0xC8, 0x49])
SIDE_BY_SIDE = (1).to_bytes(4, "little") + bytes(32)
INTERLACED = (1 << 18) | (1 << 29)
MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
X265 = "log-level=none"
CONTAINER = {"prores": ".mov", "vp9": ".webm"}


def found(path) -> list[set[str]]:
    """The kinds of side data of every frame."""
    with av.open(str(path)) as container:
        return [
            {entry.type.name for entry in frame.side_data} - {"SEI_UNREGISTERED"}  # type: ignore[attr-defined]
            for frame in container.decode(video=0)
        ]


def notes(source, output, codec=None):
    return plan_output(output, read_video_info(source), Encoding(codec=codec)).notes


def copy(samples, source, codec):
    output = samples.folder / f"out{CONTAINER.get(codec, '.mkv')}"
    samples.copy(source, output, encoding=Encoding(codec=codec))
    return output


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_plain_video_loses_nothing(samples):
    """x264 writes its settings into each of its streams: they are not missed."""
    source = samples.make()
    assert "SEI_UNREGISTERED" in {e.type.name for e in decoded(source)[0].side_data}
    assert notes(source, samples.folder / "out.mp4") == ()


def decoded(path):
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_closed_captions_are_kept(samples, codec):
    source = encode(samples.folder / "in.mkv", side_data=lambda index: {"A53_CC": CAPTIONS})
    assert found(source) == [{"A53_CC"}] * 6
    output = copy(samples, source, codec)
    assert found(output) == [{"A53_CC"}] * 6
    data: Any = decoded(output)[3].side_data
    assert bytes(data["A53_CC"]) == CAPTIONS
    assert notes(source, output, codec) == ()


@pytest.mark.parametrize("codec", ["av1", "ffv1", "vp9"])
def test_closed_captions_that_a_codec_cannot_store_are_named(samples, caplog, codec):
    source = encode(samples.folder / "in.mkv", side_data=lambda index: {"A53_CC": CAPTIONS})
    [note] = notes(source, samples.folder / f"out{CONTAINER.get(codec, '.mkv')}", codec)
    assert "closed captions" in note
    copy(samples, source, codec)
    assert warnings(caplog) == []  # once is enough


def test_captions_that_begin_later_are_kept_too(samples):
    source = encode(
        samples.folder / "in.mkv",
        side_data=lambda index: {"A53_CC": CAPTIONS} if index > 2 else {},
    )
    assert found(copy(samples, source, "h264")) == [set()] * 3 + [{"A53_CC"}] * 3


def test_captions_that_begin_later_and_are_lost_are_named_once(samples, caplog):
    source = encode(
        samples.folder / "in.mkv",
        side_data=lambda index: {"A53_CC": CAPTIONS} if index > 2 else {},
    )
    copy(samples, source, "ffv1")
    [warning] = warnings(caplog)
    assert "from frame 3 on" in warning
    assert "closed captions" in warning


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("h264", ".mp4"), ("h264", ".mkv"), ("hevc", ".mkv"), ("vp9", ".webm"), ("ffv1", ".mkv")],
)
def test_stereo_marks_are_kept(samples, codec, suffix):
    source = encode(samples.folder / "in.mp4", side_data=lambda index: {"STEREO3D": SIDE_BY_SIDE})
    output = samples.folder / f"out{suffix}"
    assert notes(source, output, codec) == ()
    samples.copy(source, output, encoding=Encoding(codec=codec))
    data: Any = decoded(output)[0].side_data
    assert bytes(data["STEREO3D"])[:4] == SIDE_BY_SIDE[:4]


def test_stereo_marks_that_nothing_holds_are_named(samples):
    source = encode(samples.folder / "in.mp4", side_data=lambda index: {"STEREO3D": SIDE_BY_SIDE})
    [note] = notes(source, samples.folder / "out.mp4", "hevc")
    assert "stereoscopic" in note


def test_a_rotation_that_is_no_quarter_turn_is_named(samples):
    output = samples.folder / "out.mp4"
    assert notes(samples.make(rotation=90), output) == ()
    [note] = notes(samples.make("odd.mp4", rotation=100), output)
    assert "nearest quarter turn" in note
    assert read_video_info(samples.folder / "odd.mp4").rotation == 270


def hdr10(folder, *, params=f"master-display={MASTERING}:max-cll=1000,400"):
    return encode(
        folder / "in.mp4",
        "libx265",
        pix_fmt="yuv420p10le",
        options={"x265-params": f"{X265}:{params}"},
        transfer=16,
    )


@pytest.mark.parametrize("codec", ["hevc", "h264", "av1"])
def test_the_mastering_display_is_kept(samples, codec):
    source = hdr10(samples.folder)
    output = copy(samples, source, codec)
    before: Any = decoded(source)[0].side_data
    after: Any = decoded(output)[0].side_data
    light = bytes(before["CONTENT_LIGHT_LEVEL"])
    assert bytes(after["CONTENT_LIGHT_LEVEL"]) == light
    numbers = [
        np.frombuffer(bytes(data["MASTERING_DISPLAY_METADATA"])[:80], np.int32).reshape(-1, 2)
        for data in (before, after)
    ]
    ratios = [pairs[:, 0] / pairs[:, 1] for pairs in numbers]
    np.testing.assert_allclose(ratios[1], ratios[0], rtol=1e-3, atol=1e-4)
    assert read_video_info(output).color.is_hdr
    assert notes(source, output, codec) == ()


def test_a_codec_without_a_place_for_the_mastering_display_says_so(samples):
    [note] = notes(hdr10(samples.folder), samples.folder / "out.mkv", "ffv1")
    assert "mastering display" in note
    assert "content light levels" in note


def test_what_the_user_says_of_the_mastering_display_stays(samples):
    source = hdr10(samples.folder)
    options = {"x265-params": f"{X265}:max-cll=50,20"}
    output = samples.folder / "out.mkv"
    samples.copy(source, output, encoding=Encoding(codec="hevc", encoder_options=options))
    data: Any = decoded(output)[0].side_data
    assert list(np.frombuffer(bytes(data["CONTENT_LIGHT_LEVEL"]), np.uint32)) == [50, 20]
    assert "MASTERING_DISPLAY_METADATA" in found(output)[0]


def lines(index):
    """Two fields of different colours, as where something moves."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[0::2] = (200, 40, 40)
    pixels[1::2] = (40, 40, 200)
    return pixels


@pytest.mark.parametrize("first", ["top", "bottom"])
@pytest.mark.parametrize("codec", ["h264", "prores", "ffv1"])
def test_interlaced_video_stays_interlaced(samples, codec, first):
    source = encode(
        samples.folder / "in.mkv",
        fields=first,
        pixels=lines,
        flags=INTERLACED,
        options={"crf": "1", "preset": "ultrafast"},
    )
    assert read_video_info(source).fields == first
    output = copy(samples, source, codec)
    assert all(frame.interlaced_frame for frame in decoded(output))
    assert read_video_info(output).fields == first
    [note] = [one for one in notes(source, output, codec) if "interlaced" in one]
    assert "stay marked" in note
    # Colours of one field do not run into the other.
    for path in (source, output):
        shown = samples.read(path)[0].pixels.astype(int) >> (8 if codec == "prores" else 0)
        if path == source:
            shown = samples.read(path)[0].pixels.astype(int)
        assert np.abs(shown - lines(0)).mean() < 6


def test_a_codec_that_cannot_mark_interlaced_video_says_so(samples):
    source = encode(samples.folder / "in.mkv", fields="top", flags=INTERLACED)
    [note] = notes(source, samples.folder / "out.mkv", "hevc")
    assert "not marked so any more" in note
    [note] = notes(source, samples.folder / "out_%04d.png")
    assert "interlaced" in note


def test_interlaced_video_that_is_turned_is_marked_no_more(samples):
    """Its lines become columns."""
    plain = encode(samples.folder / "plain.mp4", fields="top", flags=INTERLACED)
    source = samples.folder / "in.mp4"
    with av.open(str(plain)) as given, av.open(str(source), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        stream.set_display_rotation(90)
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    info = read_video_info(source)
    assert (info.fields, info.size) == ("top", (64, 96))
    [note] = [one for one in notes(source, samples.folder / "out.mp4") if "interlaced" in one]
    assert "not marked so any more, as they are turned" in note
    assert read_video_info(copy(samples, source, "h264")).fields is None


def test_an_interlaced_size_that_an_encoder_refuses_is_written_all_the_same(samples):
    source = encode(samples.folder / "in.mkv", "ffv1", fields="top", size=(96, 62), pixels=None)
    output = copy(samples, source, "h264")
    assert read_video_info(output).size == (96, 62)


@pytest.mark.parametrize(
    ("codec", "change"),
    [
        ("libx264", "h264_metadata=crop_left=16:crop_top=8:crop_right=2:crop_bottom=4"),
        ("libx265", "hevc_metadata=crop_left=16:crop_top=8:crop_right=2:crop_bottom=4"),
    ],
)
def test_cropping_in_the_stream_is_exact(samples, codec, change):
    options = {"x265-params": X265} if codec == "libx265" else {}
    plain = samples.make("plain.mp4", codec=codec, size=(128, 96), options=options, frames=3)
    cropped = rewrap(plain, samples.folder / "cropped.mp4", change)
    assert read_video_info(cropped).size == (128 - 18, 96 - 12)
    whole, part = samples.read(plain)[0].pixels, samples.read(cropped)[0].pixels
    assert np.abs(part.astype(int) - whole[8:-4, 16:-2]).mean() < 1
    output = samples.folder / "out.mp4"
    samples.copy(cropped, output)
    assert read_video_info(output).size == (110, 84)


@pytest.mark.parametrize("rotation", [None, 90])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_cropping_in_the_container_is_applied_as_players_do(samples, suffix, rotation):
    plain = samples.make("plain.mp4", frames=3, rotation=rotation)
    # 60x50 of 96x64, whose centre lies 5 to the left and 3 down
    cropped = add_box(
        samples.make("in.mp4", frames=3, rotation=rotation), b"clap", clap(60, 50, -5, 3)
    )
    if suffix == ".mkv":
        if rotation is not None:
            pytest.skip("Matroska keeps the rotation in another way")
        cropped = rewrap(cropped, samples.folder / "in.mkv")
    info = read_video_info(cropped)
    assert info.size == ((60, 50) if rotation is None else (50, 60))
    assert info.to_json()["cropped"] == {"top": 10, "bottom": 4, "left": 13, "right": 23}
    whole = samples.read(plain)[0].pixels
    if rotation is not None:
        whole = np.rot90(whole, -1)
    expected = whole[10:-4, 13:-23]
    if rotation is not None:
        expected = np.rot90(expected)
    np.testing.assert_array_equal(samples.read(cropped)[0].pixels, expected)
    output = samples.folder / "out.mp4"
    samples.copy(cropped, output)
    result = read_video_info(output)
    assert result.size == info.size
    assert not result.crop
    assert np.abs(samples.read(output)[0].pixels.astype(int) - expected).mean() < 5


def test_cropping_that_leaves_nothing_is_not_believed(samples):
    cropped = add_box(samples.make(frames=3), b"clap", clap(90, 60, 200, 0))
    assert read_video_info(cropped).size in ((96, 64), (90, 60))
    assert samples.read(cropped)[0].pixels.size


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_dolby_vision_without_tags_is_hdr(samples, suffix):
    source = samples.make(codec="libx265", pix_fmt="yuv420p10le", frames=3)
    source = add_box(source, b"dvcC", dolby_vision(5, 0), b"hev1")
    if suffix == ".mkv":
        source = rewrap(source, samples.folder / "in.mkv")
    info = read_video_info(source)
    assert info.hdr == "Dolby Vision, profile 5"
    assert not info.color.is_hdr
    job = Job(source=source, output=samples.folder / "out.mp4")
    with pytest.raises(InputError, match="only Dolby Vision knows"):
        read_source(job, SourceOptions())
    read_source(job, SourceOptions(hdr="passthrough"))
    [note] = notes(source, samples.folder / "out.mp4")
    assert "Dolby Vision (profile 5) is not kept" in note
    assert "wrong colours" in note


def test_dolby_vision_over_sdr_is_sdr(samples):
    source = add_box(samples.make(frames=3), b"dvvC", dolby_vision(9, 2))
    info = read_video_info(source)
    assert info.hdr is None
    [note] = notes(source, samples.folder / "out.mp4")
    assert "Dolby Vision" in note


@pytest.mark.parametrize("codec", ["libvpx-vp9", "libvpx"])
def test_transparency_beside_the_pictures_is_named(samples, codec):
    source = samples.folder / "in.webm"
    with av.open(str(source), "w") as container:
        options = {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "0"}
        stream: Any = container.add_stream(codec, rate=25, width=64, height=48, options=options)
        stream.pix_fmt = "yuva420p"
        for index in range(4):
            picture = av.VideoFrame(64, 48, "yuva420p")
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    info = read_video_info(source)
    assert info.has_alpha
    assert "a" not in info.pix_fmt
    output = samples.folder / "out.webm"
    assert "transparency is not kept" in notes(source, output)
    samples.copy(source, output)
    assert not read_video_info(output).has_alpha
    with av.open(str(output)) as container:
        assert "alpha_mode" not in {key.lower() for key in container.streams.video[0].metadata}


def test_spherical_video_is_named(samples):
    source = add_box(samples.make(frames=3), b"sv3d", EQUIRECTANGULAR)
    [note] = notes(source, samples.folder / "out.mp4")
    assert "360 degree" in note


def test_side_data_that_has_no_name_is_mentioned(samples):
    """Photos' EXIF in Motion JPEG: PyAV then shows no side data at all, and raises ValueError."""
    image, encoded = Image.new("RGB", (64, 48), (200, 60, 40)), io.BytesIO()
    exif = image.getexif()
    exif[0x112] = 6
    image.save(encoded, "JPEG", exif=exif)
    source = samples.folder / "in.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_mux_stream("mjpeg", rate=25, width=64, height=48)
        stream.time_base = Fraction(1, 25)
        for index in range(3):
            packet = av.Packet(encoded.getvalue())
            packet.pts = packet.dts = index
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
            container.mux_one(packet)
    with pytest.raises(ValueError, match="not a valid Type"):
        decoded(source)[0].side_data  # noqa: B018 - this is the mistake of PyAV
    assert samples.read(source)[0].pixels.shape == (64, 48, 3)  # and upright all the same
    assert any("kind that is not known" in n for n in notes(source, samples.folder / "out.mp4"))


def test_encrypted_video_is_refused(samples):
    source = samples.folder / "in.mp4"
    key = "76a6c65c5ea762046bd749a2e632ccbb"
    scheme = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": key, "encryption_kid": key}
    with av.open(str(source), "w", container_options=scheme) as container:
        stream = container.add_stream("libx264", rate=25, width=64, height=48)
        for index in range(3):
            picture = av.VideoFrame(64, 48, "yuv420p")
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="encrypted"):
        open_video(source)


def test_information_lists_what_a_video_carries(samples):
    source = encode(samples.folder / "in.mkv", side_data=lambda index: {"A53_CC": CAPTIONS})
    facts = read_video_info(source).to_json()
    assert facts["side_data"] == ["closed captions"]
    assert facts["interlaced"] is None
    assert facts["cropped"] is None
