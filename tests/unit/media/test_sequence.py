"""Image sequences in and out."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from refvid.errors import InputError, OptionError, OutputError
from refvid.media.encoding import Encoding
from refvid.media.image import read_image, write_image
from refvid.media.output_plan import plan_output
from refvid.media.reader import open_video, read_frame
from refvid.media.sequence import is_pattern, numbered_path
from refvid.media.video_info import read_video_info
from refvid.media.writer import create_video


def flat(value, dtype=np.uint8, size=(6, 8)):
    return np.full((*size, 3), value, dtype)


def values(samples, path, **options):
    return [int(frame.pixels[0, 0, 0]) for frame in samples.read(path, **options)]


def test_pattern_with_gaps(samples):
    folder = samples.folder
    for number in (7, 8, 10, 100, 12345):
        write_image(folder / f"shot_{number:04d}.png", flat(number % 251))
    write_image(folder / "shot_9.png", flat(1))
    write_image(folder / "other_0001.png", flat(2))
    pattern = folder / "shot_%04d.png"
    frames = samples.read(pattern, rate=Fraction(24000, 1001))
    assert [frame.number for frame in frames] == [7, 8, 10, 100, 12345]
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[3].time == Fraction(3 * 1001, 24000)
    assert [frame.pixels[0, 0, 0] for frame in frames] == [7, 8, 10, 100, 12345 % 251]
    assert read_frame(pattern, index=2).number == 10


def test_folder_in_natural_order(samples):
    folder = samples.folder / "shots"
    folder.mkdir()
    for number in (10, 2, 1):
        write_image(folder / f"a{number}.png", flat(number))
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    assert values(samples, folder) == [1, 2, 10]
    assert [frame.number for frame in samples.read(folder)] == [1, 2, 10]
    write_image(folder / "b.png", flat(99))
    assert [frame.number for frame in samples.read(folder)] == [1, 2, 3, 4]
    info = read_video_info(folder)
    assert info.frame_count == 4
    assert info.frame_rate == 24
    assert info.is_image_sequence
    assert info.duration == Fraction(4, 24)


def test_one_image_is_one_frame(samples):
    path = samples.folder / "a.png"
    write_image(path, flat(5))
    assert values(samples, path) == [5]
    output = samples.folder / "out.png"
    samples.copy(path, output)
    assert np.array_equal(read_image(output), flat(5))


def test_sizes_must_agree(samples):
    write_image(samples.folder / "a_1.png", flat(1))
    write_image(samples.folder / "a_2.png", flat(1, size=(6, 9)))
    with pytest.raises(InputError, match=r"a_2\.png is 9x6, but the sequence began with 8x6"):
        samples.read(samples.folder / "a_%d.png")


def test_ranges_of_a_sequence(samples):
    for number in range(5, 15):
        write_image(samples.folder / f"{number}.png", flat(number))
    pattern = samples.folder / "%d.png"
    assert values(samples, pattern, start=2, end=4) == [7, 8]
    assert values(samples, pattern, start=Fraction(1, 5), frames=2, rate=Fraction(10)) == [7, 8]
    with pytest.raises(OptionError):
        open_video(pattern, rate=Fraction(0))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_sequence_to_video(samples, suffix):
    for number in range(4):
        write_image(samples.folder / f"{number}.png", samples.picture(number, 96, 64))
    output = samples.folder / f"out{suffix}"
    with (
        open_video(samples.folder / "%d.png", rate=Fraction(25)) as video,
        create_video(output, like=video.info) as writer,
    ):
        for frame in video:
            writer.write(frame.pixels, frame)
    result = samples.read(output)
    assert [frame.time for frame in result] == [Fraction(n, 25) for n in range(4)]
    assert np.abs(result[2].pixels.astype(int) - samples.picture(2, 96, 64)).mean() < 4
    assert read_video_info(output).pix_fmt == "yuv420p"


def test_sequence_to_lossless_video(samples):
    pixels = np.random.default_rng(0).integers(0, 65536, (6, 8, 3)).astype(np.uint16)
    write_image(samples.folder / "1.png", pixels)
    output = samples.folder / "out.mkv"
    samples.copy(samples.folder / "%d.png", output, encoding=Encoding(codec="ffv1"))
    assert np.array_equal(samples.read(output)[0].pixels, pixels)


def test_numbers_and_depth_are_kept(samples):
    generator = np.random.default_rng(0)
    pictures = {}
    for number in (3, 9, 1001):
        pictures[number] = generator.integers(0, 65536, (6, 8, 3)).astype(np.uint16)
        write_image(samples.folder / f"in_{number:03d}.png", pictures[number])
    output = samples.folder / "out"
    output.mkdir()
    samples.copy(samples.folder / "in_%03d.png", output / "o_%05d.png")
    assert sorted(path.name for path in output.iterdir()) == [
        "o_00003.png",
        "o_00009.png",
        "o_01001.png",
    ]
    for number, pixels in pictures.items():
        assert np.array_equal(read_image(output / f"o_{number:05d}.png"), pixels)


def test_video_to_images(samples):
    source = samples.make(audio=["aac"])
    plan = plan_output(samples.folder / "f%02d.jpg", read_video_info(source), Encoding())
    assert plan.notes == ("images hold no sound or subtitles: these are left out",)
    samples.copy(source, samples.folder / "f%02d.png", start=2, frames=2)
    written = sorted(path.name for path in samples.folder.glob("f*.png"))
    assert written == ["f02.png", "f03.png"]
    assert np.array_equal(
        read_image(samples.folder / "f03.png"), read_frame(source, index=3).pixels
    )


def test_images_appear_only_when_all_are_there(samples):
    source = samples.make()
    (samples.folder / "f2.png").write_bytes(b"old")
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt),
        open_video(source) as video,
        create_video(samples.folder / "f%d.png", like=video.info, overwrite=True) as writer,
    ):
        for frame in video:
            if frame.index == 5:
                raise KeyboardInterrupt
            writer.write(frame.pixels, frame)
    assert sorted(path.name for path in samples.folder.iterdir()) == ["f2.png", "in.mp4"]
    assert (samples.folder / "f2.png").read_bytes() == b"old"


def test_older_images_that_stay_are_told(samples, caplog):
    source = samples.make()
    for number in (2, 70, 71):
        (samples.folder / f"f{number}.png").write_bytes(b"old")
    with caplog.at_level("WARNING"):
        samples.copy(source, samples.folder / "f%d.png", overwrite=True)
    assert "2 other images of such names stay there" in caplog.text
    assert (samples.folder / "f70.png").read_bytes() == b"old"
    assert (samples.folder / "f2.png").read_bytes() != b"old"


def test_a_folder_that_is_not_there_is_made_only_when_asked(samples):
    source = samples.make()
    with (
        open_video(source) as video,
        create_video(samples.folder / "new/%d.png", like=video.info, create_folder=True) as writer,
    ):
        for frame in video:
            writer.write(frame.pixels, frame)
            assert not (samples.folder / "new").exists()
    assert len(list((samples.folder / "new").iterdir())) == 8
    assert sorted(path.name for path in samples.folder.iterdir()) == ["in.mp4", "new"]


def test_two_frames_of_one_name(samples):
    source = samples.make()
    with (  # noqa: PT012
        pytest.raises(OutputError, match="two frames the same name"),
        open_video(source) as video,
        create_video(samples.folder / "f%d.png", like=video.info) as writer,
    ):
        frame = next(video)
        writer.write(frame.pixels, frame)
        writer.write(frame.pixels, frame)
    assert not list(samples.folder.glob("f*.png"))


def test_existing_images_are_kept(samples):
    source = samples.make()
    (samples.folder / "f2.png").write_bytes(b"old")
    with pytest.raises(OutputError, match=r"f2\.png exists"):
        samples.copy(source, samples.folder / "f%d.png")
    assert sorted(path.name for path in samples.folder.iterdir()) == ["f2.png", "in.mp4"]


@pytest.mark.parametrize(
    "name", ["take%d.mp4", "100%02d sure.mkv", "50%.mp4", "%04d.mov", "%%.mp4"]
)
def test_a_percent_sign_in_the_name_of_a_video(samples, name):
    source = samples.make("in.mkv")
    output = samples.folder / name
    samples.copy(source, output)
    frames = samples.read(output)
    assert len(frames) == 8
    samples.copy(output, samples.folder / f"again {name}")
    assert len(samples.read(samples.folder / f"again {name}")) == 8


def test_two_percent_signs_in_a_pattern_are_one(samples):
    source = samples.make(frames=3)
    pattern = samples.folder / "100%%_%02d.png"
    samples.copy(source, pattern)
    names = sorted(path.name for path in samples.folder.glob("*.png"))
    assert names == ["100%_00.png", "100%_01.png", "100%_02.png"]
    assert [frame.number for frame in samples.read(pattern)] == [0, 1, 2]


def test_impossible_outputs(samples):
    info = read_video_info(samples.make())
    with pytest.raises(OutputError, match="Cannot write a video to one image"):
        plan_output(samples.folder / "out.png", info, Encoding())
    with pytest.raises(OptionError, match="Write %% for a percent sign"):
        plan_output(samples.folder / "take%d_%04d.png", info, Encoding())
    for encoding in (Encoding(crf=3), Encoding(codec="h264"), Encoding(pix_fmt="rgb24")):
        with pytest.raises(OptionError):
            plan_output(samples.folder / "out_%d.png", info, encoding)
    assert plan_output(samples.folder / "%d.png", info, Encoding(codec="png")).codec == "png"
    with (
        pytest.raises(OutputError, match="does not exist"),
        create_video(samples.folder / "absent/%d.png", like=info),
    ):
        pass


def test_numbers_have_a_width_that_names_can_have():
    assert is_pattern(Path("a_%08d.png"))
    assert numbered_path(Path("a_%08d.png"), 7).name == "a_00000007.png"
    # A gigabyte of zeros.
    assert not is_pattern(Path("a_%0999999999d.png"))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "16"])
@pytest.mark.parametrize("is_transparent", [True, False])
def test_transparency_that_is_lost_is_said(samples, mode, is_transparent):
    """Not where a picture merely has a channel for it."""
    alpha = np.full((6, 8), 255, np.uint8)
    alpha[2, 3] = 254 if is_transparent else 255
    gray = np.full_like(alpha, 90)
    for number in range(2):
        path = samples.folder / f"f_{number}.png"
        if mode == "16":
            deep = np.dstack([gray, gray, gray, alpha]).astype(np.uint16) * 257
            cv2.imwrite(str(path), deep)
        elif mode == "P":
            picture = Image.fromarray((alpha == 255).astype(np.uint8)).convert("P")
            picture.info |= {"transparency": 0} if is_transparent else {}
            picture.save(path)
        else:
            Image.fromarray(np.dstack([gray] * (len(mode) - 1) + [alpha])).save(path)
    info = read_video_info(samples.folder / "f_%d.png")
    assert info.has_alpha is is_transparent
    for name in ("out.mp4", "out_%d.png"):
        notes = plan_output(samples.folder / name, info, Encoding()).notes
        assert ("transparency is not kept" in notes) is is_transparent
