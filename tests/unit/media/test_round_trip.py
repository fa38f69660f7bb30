"""What goes in comes out: frames, timestamps, sound, subtitles, chapters, tags."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from refvid.media.encoding import Encoding
from refvid.media.origin_marks import Origin
from refvid.media.reader import open_video
from refvid.media.source_type import SourceType
from refvid.media.video_info import read_video_info

MILLISECOND = Fraction(1, 1000)
PAIRS = [
    ("h264", ".mp4"),
    ("h264", ".mov"),
    ("h264", ".mkv"),
    ("hevc", ".mp4"),
    ("hevc", ".mov"),
    ("hevc", ".mkv"),
    ("vp9", ".mp4"),
    ("vp9", ".mkv"),
    ("vp9", ".webm"),
    ("av1", ".mp4"),
    ("av1", ".mkv"),
    ("av1", ".webm"),
    ("prores", ".mov"),
    ("ffv1", ".mkv"),
]
RATES = {
    "constant": (Fraction(1, 25), range(12)),
    "23.976": (Fraction(1001, 24000), range(12)),
    "29.97": (Fraction(1, 30000), range(0, 12012, 1001)),
    "60": (Fraction(1, 60), range(12)),
    "variable": (Fraction(1, 12800), [0, 512, 1024, 2560, 2600, 4096, 8192, 8320, 9000, 12800]),
    "late start": (Fraction(1, 1000), [500, 540, 580, 620, 660, 700]),
    "photo clock": (Fraction(1, 90000), [0, 2986, 5985, 8986, 11988, 15004]),
}


def origin(comment):
    return Origin(comment=comment, source_type=SourceType.ENHANCED)


def tolerance(suffix):
    return MILLISECOND / 2 if suffix in (".mkv", ".webm") else 0


def test_every_codec_in_every_container(samples):
    source = samples.make(audio=["aac"], frames=12)
    for codec, suffix in PAIRS:
        output = samples.folder / f"{codec}{suffix}"
        frames = samples.copy(source, output, encoding=Encoding(codec=codec))
        result = samples.read(output)
        assert len(result) == len(frames) == 12, (codec, suffix)
        # Sound encoded before time 0 cannot be in Matroska: everything moves by as much.
        shift = result[0].time
        assert 0 <= shift < Fraction(1, 20)
        for before, after in zip(frames, result, strict=True):
            assert abs(after.time - shift - before.time) <= tolerance(suffix) * 2
        info = read_video_info(output)
        assert info.size == (96, 64)
        assert info.codec == codec


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("kind", RATES)
def test_timestamps_are_kept(samples, kind, suffix):
    time_base, stamps = RATES[kind]
    source = samples.make("in.mov", time_base=time_base, timestamps=stamps, max_b_frames=0)
    output = samples.folder / f"out{suffix}"
    frames = samples.copy(source, output)
    # Whatever the clock of the source says, the result begins at 0.
    assert [frame.time for frame in frames] == [(t - stamps[0]) * time_base for t in stamps]
    result = samples.read(output)
    assert [frame.index for frame in result] == list(range(len(stamps)))
    for before, after in zip(frames, result, strict=True):
        assert abs(after.time - before.time) <= tolerance(suffix)


@pytest.mark.parametrize("kind", ["constant", "29.97", "variable", "late start"])
def test_durations_and_rates_are_kept_in_mp4(samples, kind):
    time_base, stamps = RATES[kind]
    source = samples.make(time_base=time_base, timestamps=stamps, max_b_frames=0)
    output = samples.folder / "out.mp4"
    before = samples.copy(source, output)
    after = samples.read(output)
    lengths = [frame.duration * frame.time_base for frame in before]
    assert [frame.duration * frame.time_base for frame in after] == lengths
    source_info, info = read_video_info(source), read_video_info(output)
    assert info.duration == source_info.duration
    assert info.frame_rate == source_info.frame_rate
    assert info.is_variable_rate == source_info.is_variable_rate == (kind == "variable")


def test_constant_rate_keeps_b_frames(samples):
    source = samples.make(frames=24)
    output = samples.folder / "out.mp4"
    samples.copy(source, output)
    with av.open(str(output)) as container:
        kinds = {frame.pict_type for frame in container.decode(video=0)}
    assert av.video.frame.PictureType.B in kinds


def test_one_frame(samples):
    source = samples.make(frames=1)
    for suffix in (".mp4", ".mkv", ".webm"):
        output = samples.folder / f"out{suffix}"
        samples.copy(source, output)
        assert len(samples.read(output)) == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 5), (17, 31), (65, 48), (64, 49)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_odd_and_tiny_sizes_are_kept(samples, size, suffix):
    source = samples.make("in.mkv", pix_fmt="yuv444p", size=size, frames=3)
    output = samples.folder / f"out{suffix}"
    samples.copy(source, output)
    result = samples.read(output)
    assert len(result) == 3
    assert result[0].pixels.shape == (size[1], size[0], 3)


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1", "prores", "ffv1", "mjpeg"])
def test_odd_size_in_every_codec(samples, codec):
    source = samples.make("in.webm", codec="libvpx-vp9", size=(97, 65), frames=2)
    output = samples.folder / ("out.mov" if codec in ("prores", "mjpeg") else "out.mkv")
    samples.copy(source, output, encoding=Encoding(codec=codec))
    assert samples.read(output)[1].pixels.shape == (65, 97, 3)


def test_ten_bits_stay_ten_bits(samples):
    def ramp(index, width, height):
        values = np.linspace(0, 65535, width * height).reshape(height, width)
        return np.repeat(values[..., np.newaxis], 3, axis=-1).astype(np.uint16)

    source = samples.make(pix_fmt="yuv420p10le", pixels=ramp, color=(1, 1, 1, 1))
    for suffix in (".mp4", ".mkv", ".webm"):
        output = samples.folder / f"out{suffix}"
        samples.copy(source, output)
        info = read_video_info(output)
        assert info.bit_depth == 10
        before, after = samples.read(source)[0].pixels, samples.read(output)[0].pixels
        assert before.dtype == after.dtype == np.uint16
        assert len(np.unique(after)) > 400  # 8 bits would leave 256
        assert np.abs(before.astype(int) - after).mean() < 150


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_is_applied_once(samples, degrees, flip):
    source = samples.make(rotation=degrees, hflip=flip, frames=2)
    plain = samples.make("plain.mp4", frames=2)
    output = samples.folder / "out.mp4"
    samples.copy(source, output)
    expected = np.rot90(samples.read(plain)[0].pixels, degrees // 90)
    if flip:
        expected = expected[:, ::-1]
    for path in (source, output):
        shown = samples.read(path)[0].pixels
        assert shown.shape == expected.shape
        assert np.abs(shown.astype(int) - expected).mean() < 4
    assert read_video_info(source).size == read_video_info(output).size == shown.shape[1::-1]
    if not flip:  # a mirrored turn has two descriptions
        assert read_video_info(source).rotation == -degrees % 360
    assert read_video_info(output).rotation == 0
    with av.open(str(output)) as container:
        assert next(container.decode(video=0)).rotation == 0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pixel_shape_is_kept_and_turned(samples, suffix):
    source = samples.make(aspect=Fraction(4, 3), rotation=90, frames=2)
    output = samples.folder / f"out{suffix}"
    samples.copy(source, output)
    assert read_video_info(output).sample_aspect_ratio == Fraction(3, 4)


@pytest.mark.parametrize(("codec", "suffix"), PAIRS)
def test_pixel_shape_is_kept_or_noted(samples, codec, suffix):
    source = samples.make(aspect=Fraction(4, 3), frames=2)
    output = samples.folder / f"out{suffix}"
    samples.copy(source, output, encoding=Encoding(codec=codec))
    from refvid.media.output_plan import plan_output

    plan = plan_output(output, read_video_info(source), Encoding(codec=codec))
    is_noted = any("pixel shape" in note for note in plan.notes)
    assert (read_video_info(output).sample_aspect_ratio == Fraction(4, 3)) != is_noted


def test_metadata_and_chapters_are_kept(samples):
    tags = {"title": "Holiday", "artist": "Me", "comment": "a walk"}
    chapters = [(0, 200, "first"), (200, 480, "second")]
    source = samples.make(metadata=tags, chapters=chapters, frames=12, audio=["aac:fra"])
    for suffix in (".mp4", ".mkv", ".mov", ".webm"):
        output = samples.folder / f"out{suffix}"
        encoding = Encoding(audio="none" if suffix == ".webm" else "copy")
        samples.copy(
            source,
            output,
            encoding=encoding,
            origin=origin("made by refvid"),
        )
        with av.open(str(output)) as container:
            written = {key.lower(): value for key, value in container.metadata.items()}
            assert written["title"] == "Holiday"
            assert written["artist"] == "Me"
            assert written["comment"] == "a walk\nmade by refvid"
            titles = [chapter["metadata"]["title"] for chapter in container.chapters()]
            assert titles == ["first", "second"]
            if suffix != ".webm":
                assert container.streams.audio[0].language == "fra"


def test_custom_tags_survive_in_mp4(samples):
    source = samples.make("in.mkv", metadata={"title": "x", "com.example.lens": "50 mm"})
    output = samples.folder / "out.mp4"
    samples.copy(source, output)
    metadata = {key.lower(): value for key, value in read_video_info(output).metadata.items()}
    assert metadata["com.example.lens"] == "50 mm"
    assert metadata["title"] == "x"


def test_metadata_can_be_left_out(samples):
    source = samples.make(metadata={"title": "secret"}, chapters=[(0, 300, "one")])
    output = samples.folder / "out.mp4"
    samples.copy(
        source,
        output,
        encoding=Encoding(metadata=False),
        origin=origin("refvid"),
    )
    info = read_video_info(output)
    assert info.chapters == 0
    assert not {"title", "comment"} & set(info.metadata)


def test_attachments_are_kept_in_mkv(samples):
    source = samples.make("in.mkv", attachment=b"not really a font")
    output = samples.folder / "out.mkv"
    samples.copy(source, output)
    with av.open(str(output)) as container:
        attachment = next(s for s in container.streams if s.type == "attachment")
        assert isinstance(attachment, av.stream.AttachmentStream)
        assert attachment.data == b"not really a font"
        assert attachment.metadata["filename"] == "font.ttf"


def test_memory_does_not_grow_with_the_video(samples):
    source = samples.make(frames=200, size=(320, 240), audio=["aac"], options={"g": "30"})
    import tracemalloc

    with open_video(source) as video:
        next(video)
        tracemalloc.start()
        for _ in video:
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 20 * 320 * 240 * 3
