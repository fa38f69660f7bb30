"""Writing: what was asked for, and nothing left behind when it fails."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from refvid.errors import InputError, OptionError, OutputError
from refvid.media.encoding import Encoding
from refvid.media.output_plan import default_suffix, plan_output
from refvid.media.reader import open_video
from refvid.media.video_info import read_video_info
from refvid.media.writer import create_video

REPOSITORY = Path(__file__).parents[3]


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, InputError])
@pytest.mark.parametrize("after", [0, 5])
def test_an_error_leaves_nothing(samples, error, after):
    source = samples.make(audio=["aac"])
    output = samples.folder / "out.mp4"
    with (  # noqa: PT012
        pytest.raises(error),
        open_video(source) as video,
        create_video(output, like=video.info) as writer,
    ):
        for frame in video:
            if frame.index == after:
                assert not output.exists()
                raise error
            writer.write(frame.pixels, frame)
    assert not output.exists()
    assert leftovers(samples.folder) == []


def test_an_existing_output_is_kept(samples):
    source = samples.make()
    output = samples.folder / "out.mp4"
    output.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        samples.copy(source, output)
    assert output.read_bytes() == b"mine"
    with (  # noqa: PT012
        pytest.raises(RuntimeError),
        open_video(source) as video,
        create_video(output, like=video.info, overwrite=True) as writer,
    ):
        frame = next(video)
        writer.write(frame.pixels, frame)
        raise RuntimeError
    assert output.read_bytes() == b"mine"
    samples.copy(source, output, overwrite=True)
    assert len(samples.read(output)) == 8


def test_an_output_that_appears_meanwhile_is_kept(samples):
    source = samples.make()
    output = samples.folder / "out.mp4"
    with (  # noqa: PT012
        pytest.raises(OutputError, match="exists already"),
        open_video(source) as video,
        create_video(output, like=video.info) as writer,
    ):
        for frame in video:
            writer.write(frame.pixels, frame)
        output.write_bytes(b"theirs")
    assert output.read_bytes() == b"theirs"
    assert leftovers(samples.folder) == []


def test_a_missing_folder_is_told_at_once(samples):
    info = read_video_info(samples.make())
    with pytest.raises(OutputError, match="does not exist"):
        create_video(samples.folder / "absent/out.mp4", like=info)
    (samples.folder / "dir.mp4").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        create_video(samples.folder / "dir.mp4", like=info)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file size are a POSIX matter")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("limit", [1000, 60_000])
def test_a_full_disk(samples, suffix, limit):
    def noise(index, width, height):
        return np.random.default_rng(index).integers(0, 256, (height, width, 3)).astype(np.uint8)

    source = samples.make(frames=30, size=(320, 240), pixels=noise, audio=["aac"])
    output = samples.folder / f"out{suffix}"
    code = f"""
        import resource
        from pathlib import Path
        from refvid.errors import OutputError
        from refvid.media.reader import open_video
        from refvid.media.writer import create_video
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            with open_video(Path({str(source)!r})) as video:
                with create_video(Path({str(output)!r}), like=video.info) as writer:
                    for frame in video:
                        writer.write(frame.pixels, frame)
        except OutputError as error:
            assert "no space is left" in str(error), error
        else:
            raise SystemExit("no error")
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60, cwd=REPOSITORY
    )
    assert not output.exists()
    assert leftovers(samples.folder) == []


def test_wrong_shapes_are_our_own_mistake(samples):
    source = samples.make()
    with open_video(source) as video:
        frame = next(video)
        with (
            pytest.raises(ValueError, match="a frame is"),
            create_video(samples.folder / "out.mp4", like=video.info) as writer,
        ):
            writer.write(frame.pixels[:, :-1], frame)


def test_a_copied_source_that_vanishes(samples):
    source = samples.make(audio=["aac"])
    info = read_video_info(source)
    writer = create_video(samples.folder / "out.mp4", like=info)
    source.unlink()
    with pytest.raises(InputError, match="does not exist"), writer:
        pass
    assert leftovers(samples.folder) == []


def plan(samples, suffix, encoding=None, **changes):
    info = replace(read_video_info(samples.make()), **changes)
    return plan_output(samples.folder / f"out{suffix}", info, encoding or Encoding())


@pytest.mark.parametrize(
    ("codec", "suffix", "expected"),
    [
        ("h264", ".mp4", "h264"),
        ("hevc", ".mp4", "hevc"),
        ("av1", ".mp4", "av1"),
        ("vp9", ".mkv", "vp9"),
        ("mpeg4", ".mp4", "h264"),
        ("vp8", ".mkv", "h264"),
        ("vp8", ".webm", "vp9"),
        ("h264", ".webm", "vp9"),
        ("av1", ".webm", "av1"),
        ("vp9", ".mov", "h264"),
        ("prores", ".mov", "prores"),
        ("ffv1", ".mkv", "ffv1"),
    ],
)
def test_the_codec_follows_input_and_container(samples, codec, suffix, expected):
    assert plan(samples, suffix, codec=codec).codec == expected


def test_ten_bits_change_the_codec_rather_than_the_depth(samples):
    decided = plan(samples, ".webm", codec="vp9", pix_fmt="yuv420p10le", bit_depth=10)
    if decided.codec == "vp9":
        pytest.skip("this build's libvpx has 10 bits")
    assert (decided.codec, decided.pix_fmt) == ("av1", "yuv420p10le")
    assert any("stored as av1" in note for note in decided.notes)
    forced = plan(samples, ".webm", Encoding(codec="vp9"), pix_fmt="yuv420p10le", bit_depth=10)
    assert "the video is reduced from 10 to 8 bits" in forced.notes


def test_bits_beyond_ten_are_not_lost_in_silence(samples):
    deep = plan(samples, ".mov", codec="prores", pix_fmt="yuv444p12le", bit_depth=12)
    assert deep.pix_fmt == "yuv444p10le"
    assert "the video is reduced from 12 to 10 bits" in deep.notes


def test_odd_sizes_are_noted(samples):
    decided = plan(samples, ".mp4", width=97)
    assert decided.pix_fmt == "yuv444p"
    assert decided.notes == ("the pixel format is yuv444p, because the size is odd",)


def test_hevc_too_small_for_libx265_becomes_h264(samples):
    decided = plan(samples, ".mp4", codec="hevc", width=48, height=32)
    assert decided.codec == "h264"
    assert decided.notes == ("the video is stored as h264: hevc cannot hold 48x32 yuv420p here",)
    with pytest.raises(OutputError, match="48x32 video as hevc"):
        plan(samples, ".mp4", Encoding(codec="hevc"), width=48, height=32)


def test_options_reach_the_encoder(samples):
    decided = plan(samples, ".mp4", Encoding(crf=30.5, encoder_options={"preset": "slow"}))
    assert decided.options["crf"] == "30.5"
    assert decided.options["preset"] == "slow"
    assert "crf" not in plan(samples, ".mp4", Encoding(encoder_options={"b": "1000k"})).options


@pytest.mark.parametrize(
    ("encoding", "error", "message"),
    [
        (Encoding(encoder_options={"no-such": "1"}), OptionError, "no option no-such"),
        (Encoding(encoder_options={"preset": "no-such"}), OptionError, "preset=no-such"),
        (Encoding(codec="no-such"), OutputError, "no codec or encoder no-such"),
        (Encoding(codec="aac"), OutputError, "audio, not video"),
        (Encoding(codec="prores"), OutputError, "Choose another codec"),
        (Encoding(codec="ffv1", crf=20), OptionError, "has no crf"),
        (Encoding(pix_fmt="no-such"), OutputError, "no pixel format"),
        (Encoding(pix_fmt="yuva420p"), OutputError, "no pixel format"),
    ],
)
def test_impossible_wishes(samples, encoding, error, message):
    with pytest.raises(error, match=message):
        plan(samples, ".mp4", encoding)
    assert leftovers(samples.folder) == []


def test_impossible_numbers():
    with pytest.raises(OptionError):
        Encoding(crf=-1)
    with pytest.raises(OptionError):
        Encoding(audio="maybe")  # type: ignore[arg-type]
    with pytest.raises(OptionError):
        Encoding(subtitles="maybe")  # type: ignore[arg-type]


def test_unknown_containers(samples):
    for suffix in (".avi", ".gif", ".txt", ""):
        with pytest.raises(OutputError, match="use one of"):
            plan(samples, suffix)


def test_any_libavcodec_encoder_can_be_named(samples):
    source = samples.make()
    output = samples.folder / "out.mkv"
    samples.copy(source, output, encoding=Encoding(codec="mpeg4"))
    assert read_video_info(output).codec == "mpeg4"
    assert plan(samples, ".mp4", Encoding(codec="libx264")).options["crf"] == "16"


def test_pixel_format_can_be_chosen(samples):
    source = samples.make()
    output = samples.folder / "out.mp4"
    samples.copy(source, output, encoding=Encoding(pix_fmt="yuv420p10le"))
    info = read_video_info(output)
    assert info.pix_fmt == "yuv420p10le"
    difference = samples.read(output)[0].pixels // 257 - samples.read(source)[0].pixels.astype(int)
    assert np.abs(difference).mean() < 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("in.mp4", ".mp4"),
        ("in.mov", ".mov"),
        ("in.mkv", ".mkv"),
        ("in.webm", ".webm"),
        ("in.avi", ".mkv"),
    ],
)
def test_default_suffix(samples, name, expected):
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(Path(name).suffix, "libx264")
    assert default_suffix(read_video_info(samples.make(name, codec=codec))) == expected


def test_high_rates(samples):
    source = samples.make(rate=Fraction(1000), frames=20, codec="libx264")
    output = samples.folder / "out.mp4"
    samples.copy(source, output, encoding=Encoding(codec="av1"))
    assert [frame.time for frame in samples.read(output)] == [Fraction(n, 1000) for n in range(20)]
