"""Encoders that refuse: the reason is told, once, and not by printing over the message."""

import os
import sys

import pytest

from refvid.errors import OptionError, OutputError
from refvid.media.encoder_log import encoder_log
from refvid.media.encoders import bound_lookahead, find_encoder, why_not
from refvid.media.encoding import Encoding, codec_name, preset_for
from refvid.media.output_plan import plan_output
from refvid.media.video_info import read_video_info

HARDWARE = ("h264_nvenc", "h264_qsv", "h264_amf", "h264_videotoolbox", "h264_vaapi", "h264_mf")


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libsvtav1", "prores_ks", "ffv1", "png"])
def test_encoders_in_software_work(encoder, capfd):
    assert why_not(encoder) is None
    assert capfd.readouterr().err == ""


def missing_hardware() -> tuple[str, str]:
    """An encoder that is built in but has no hardware here, and why."""
    for name in HARDWARE:
        try:
            find_encoder(name)
        except OutputError:
            continue
        if (reason := why_not(name)) is not None:
            return name, reason
    pytest.skip("no encoder is built in without its hardware")


def test_missing_hardware_is_named(make_video, tmp_path, capfd):
    encoder, reason = missing_hardware()
    assert "unknown error" not in reason.lower()
    like = read_video_info(make_video(2))
    with pytest.raises(OutputError) as error:
        plan_output(tmp_path / "out.mp4", like, Encoding(codec=encoder))
    assert f"{encoder} in mp4: {reason}" in str(error.value)
    assert "refvid doctor" in str(error.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("option", ["preset=slowly", "tune=fine", "profile=low"])
def test_the_line_that_matters_joins_the_message(make_video, tmp_path, capfd, option):
    key, value = option.split("=")
    like = read_video_info(make_video(2))
    encoding = Encoding(codec="h264", encoder_options={key: value})
    with pytest.raises(OptionError, match=f"accept {option}: invalid {key}.*{value}"):
        plan_output(tmp_path / "out.mp4", like, encoding)
    assert capfd.readouterr().err == ""


def test_what_the_container_says_joins_the_message(make_video, tmp_path):
    like = read_video_info(make_video(2))
    with pytest.raises(OutputError, match=r"prores in mp4: .*does not support"):
        plan_output(tmp_path / "out.mp4", like, Encoding(codec="prores"))


def test_what_others_write_appears_afterwards(capfd):
    with encoder_log() as log:
        os.write(2, b"x264 [error]: no such thing\nx265 [info]: hello\nmine\n")
        assert capfd.readouterr().err == ""
    assert log.reason == "no such thing"
    assert capfd.readouterr().err == "mine\n"


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are kept elsewhere there")
def test_a_program_without_stderr():
    kept = os.dup(2)
    os.close(2)
    try:
        with encoder_log() as log:
            pass
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert log.reason == ""


@pytest.mark.parametrize(
    ("word", "codec", "encoder"),
    [
        ("h265", "hevc", "libx265"),
        ("H.265", "hevc", "libx265"),
        ("x264", "h264", "libx264"),
        ("libx265", "hevc", "libx265"),
        ("AVC", "h264", "libx264"),
        ("h264_nvenc", "h264_nvenc", "h264_nvenc"),
    ],
)
def test_codecs_have_several_names(word, codec, encoder):
    assert codec_name(word) == codec
    assert preset_for(word).encoder == encoder


def test_a_word_that_is_no_codec(make_video, tmp_path):
    like = read_video_info(make_video(2))
    with pytest.raises(OutputError, match=r"no codec or encoder mp4 here\. Use h264, hevc, vp9"):
        plan_output(tmp_path / "out.mp4", like, Encoding(codec="mp4"))


def test_a_crf_that_an_encoder_would_cut_off(make_video, tmp_path):
    like = read_video_info(make_video(2))
    with pytest.raises(OptionError, match="from 0 to 51, not 60"):
        plan_output(tmp_path / "out.mp4", like, Encoding(codec="h264", crf=60))
    plan_output(tmp_path / "out.mkv", like, Encoding(codec="av1", crf=60, pix_fmt="yuv420p"))


@pytest.mark.parametrize(
    ("width", "height", "told"), [(3840, 2160, None), (7680, 4320, "7"), (65535, 1, "12")]
)
def test_what_looks_ahead_holds_no_more_of_large_frames(width, height, told):
    """VP9 pads each of 25 frames: 2 kB of a GIF that claims to be 65535 wide took 1.5 GB."""
    options = bound_lookahead("libvpx-vp9", {"crf": "24"}, width, height)
    assert options.get("lag-in-frames") == told
    wish = {"lag-in-frames": "19"}
    assert bound_lookahead("libvpx-vp9", wish, width, height) == wish
    assert bound_lookahead("libx264", {}, width, height) == {}
