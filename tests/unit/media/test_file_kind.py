"""What a file is, whatever its name says."""

from __future__ import annotations

import io
import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from refvid.errors import InputError
from refvid.media.encoding import Encoding
from refvid.media.file_kind import is_animation, is_picture, notes_on_picture, picture_suffix
from refvid.media.output_plan import default_suffix, plan_output
from refvid.media.reader import open_video
from refvid.media.video_info import read_video_info

DURATIONS = [100, 100, 50, 200]
ANIMATED = ["WEBP", "PNG", "GIF", "AVIF"]
STILL = ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000"]


def pictures(count: int) -> list[Image.Image]:
    return [
        Image.fromarray(np.full((48, 64, 3), 40 + 50 * index, np.uint8)) for index in range(count)
    ]


def save(path: Path, kind: str, count: int = len(DURATIONS), **options) -> Path:
    first, *others = pictures(count)
    if others:
        options |= {"save_all": True, "append_images": others, "duration": DURATIONS}
    first.save(path, format=kind, **options)
    return path


def grays(path: Path) -> list[int]:
    with open_video(path) as video:
        return [int(frame.pixels[20, 20, 1]) for frame in video]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif", ".gif", ".mp4", ".dat", ".JPG"])
@pytest.mark.parametrize("kind", ANIMATED)
def test_an_animation_gives_all_its_frames(tmp_path, kind, suffix):
    path = save(tmp_path / f"a{suffix}", kind)
    assert is_animation(path)
    assert not is_picture(path)
    info = read_video_info(path)
    assert not info.is_image_sequence
    assert info.size == (64, 48)
    assert np.abs(np.subtract(grays(path), [40, 90, 140, 190])).max() <= 3


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "GIF", "AVIF"])
def test_the_times_of_an_animation_are_kept(tmp_path, kind):
    path = save(tmp_path / "a.bin", kind)
    with open_video(path) as video:
        times = [frame.time for frame in video]
    starts = [sum(DURATIONS[:index]) for index in range(4)]
    assert times == [Fraction(start, 1000) for start in starts]


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".mkv", ""])
@pytest.mark.parametrize("kind", STILL)
def test_a_picture_under_a_video_s_name_is_a_picture(tmp_path, kind, suffix):
    path = save(tmp_path / f"a{suffix}", kind, count=1)
    assert is_picture(path)
    info = read_video_info(path)
    assert info.is_image_sequence
    assert info.frame_count == 1
    assert len(grays(path)) == 1
    assert picture_suffix(path) in (
        ".png",
        ".jpg",
        ".webp",
        ".avif",
        ".tif",
        ".bmp",
        ".ppm",
        ".jp2",
    )
    plan = plan_output(tmp_path / f"b{picture_suffix(path)}", info, Encoding())
    assert any("is a single picture" in note for note in plan.notes)


def test_a_picture_keeps_its_own_suffix(tmp_path):
    path = save(tmp_path / "a.TIFF", "TIFF", count=1)
    assert picture_suffix(path) == ".TIFF"
    assert notes_on_picture(path) == ()


def test_a_video_under_a_picture_s_name_is_a_video(samples):
    path = samples.make("in.mp4").rename(samples.folder / "in.png")
    assert not is_picture(path)
    assert len(samples.read(path)) == 8


def test_a_stream_of_jpegs_is_a_video(tmp_path):
    data = io.BytesIO()
    for picture in pictures(3):
        picture.save(data, format="JPEG", quality=95)
    path = tmp_path / "camera.mjpeg"
    path.write_bytes(data.getvalue())
    assert not is_picture(path)
    assert len(grays(path)) == 3


@pytest.mark.parametrize("name", ["a%d.png", "%02d.webp", "50%%d.gif", "a%d.avif", "a%d.mp4"])
def test_a_percent_sign_in_the_name_of_an_animation(tmp_path, name):
    for kind in ANIMATED:
        assert len(grays(save(tmp_path / name, kind))) == 4
    save(tmp_path / "a0.png", "PNG", count=1)
    assert len(grays(tmp_path / name)) == 4


def test_only_the_first_of_several_pictures_is_used_and_that_is_said(tmp_path):
    path = save(tmp_path / "pages.tif", "TIFF")
    assert is_picture(path)
    assert grays(path) == [40]
    (note,) = notes_on_picture(path)
    assert "only the first one" in note
    assert notes_on_picture(save(tmp_path / "one.tif", "TIFF", count=1)) == ()
    assert notes_on_picture(save(tmp_path / "a.webp", "WEBP"))


def test_a_transparent_animation_lies_on_gray(tmp_path):
    clear = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    opaque = Image.new("RGBA", (32, 32), (10, 200, 10, 255))
    path = tmp_path / "a.webp"
    clear.save(path, save_all=True, append_images=[opaque], duration=100, lossless=True)
    with open_video(path) as video:
        first, second = (frame.pixels[5, 5].tolist() for frame in video)
        info = video.info
    assert first == [128, 128, 128]
    assert second == [10, 200, 10]
    assert "transparency is not kept" in plan_output(tmp_path / "o.mp4", info, Encoding()).notes


def test_an_animation_keeps_only_what_it_has(samples, caplog):
    path = save(samples.folder / "a.webp", "WEBP")
    with caplog.at_level(logging.WARNING):
        samples.copy(path, samples.folder / "o.mkv")
    assert len(samples.read(samples.folder / "o.mkv")) == 4
    with av.open(str(samples.folder / "o.mkv")) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert not caplog.records


@pytest.mark.parametrize("kind", ANIMATED)
def test_a_damaged_animation_is_an_error(tmp_path, kind):
    data = save(tmp_path / "whole", kind).read_bytes()
    path = tmp_path / "cut.webp"
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(data[: int(len(data) * share)])
        try:
            with open_video(path) as video:
                list(video)
        except InputError:
            continue
        assert kind in ("PNG", "GIF"), "libav reads these to their last whole picture"


@pytest.mark.parametrize(("size", "is_too_large"), [((7680, 4320), False), ((13300, 4000), True)])
def test_few_bytes_claim_no_picture_beyond_8k(tmp_path, size, is_too_large):
    path = save(tmp_path / "a.webp", "WEBP")
    data = bytearray(path.read_bytes())
    data[24:30] = b"".join((side - 1).to_bytes(3, "little") for side in size)
    path.write_bytes(data)
    if is_too_large:
        with pytest.raises(InputError, match="13300x4000"):
            read_video_info(path)
    else:
        assert read_video_info(path).width == size[0]


def test_boxes_without_end_are_no_picture(tmp_path):
    brand = b"\0\0\0\x10ftypavis\0\0\0\0"
    path = tmp_path / "a.avif"
    path.write_bytes(brand + b"\0\0\0\x08moov" * 5000)
    assert is_picture(path)
    path.write_bytes(brand + b"\xff\xff\xff\xffmoov\xff\xff\xff\xfftrak" * 5000)
    assert is_picture(path)
    with pytest.raises(InputError):
        read_video_info(path)


@pytest.mark.parametrize("name", ["100%.mp4", "5%d.mov", "%s.webm", "100%.mkv"])
def test_a_percent_sign_changes_nothing_about_a_video(samples, name):
    suffix = Path(name).suffix
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    plain = samples.make(f"a{suffix}", codec=codec, frames=2)
    named = plain.rename(plain.with_name(name))
    assert default_suffix(read_video_info(named)) == suffix
