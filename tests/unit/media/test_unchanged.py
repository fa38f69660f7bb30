"""An input that is cut, replaced or removed while it is read is an error, not a shorter video."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from refvid.errors import InputError
from refvid.media.image import write_image
from refvid.media.reader import open_video
from refvid.media.video_info import read_video_info
from refvid.media.writer import create_video


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(1000))


def rewrite(path: Path) -> None:
    status = path.stat()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


@pytest.mark.parametrize("change", [cut, append, rewrite, replace, Path.unlink])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_video(samples, change: Callable[[Path], None], suffix: str) -> None:
    source = samples.make(f"in{suffix}", frames=60, audio=["aac"])
    with (  # noqa: PT012
        pytest.raises(InputError, match=r"(while it was read|is damaged|Cannot read)"),
        open_video(source) as video,
        create_video(samples.folder / "out.mkv", like=video.info) as writer,
    ):
        frame = next(video)
        writer.write(frame.pixels, frame)
        change(source)
        for frame in video:
            writer.write(frame.pixels, frame)
    assert not (samples.folder / "out.mkv").exists()


def test_a_file_that_ends_early_as_if_it_were_whole(samples) -> None:
    """MPEG-TS has no index: what is left of it reads without any error."""
    source = samples.make("in.ts", frames=60)
    with open_video(source) as video:
        next(video)
        cut(source)
        with pytest.raises(InputError, match="has changed while it was read"):
            list(video)


def test_sound_that_changes_when_the_pictures_are_read(samples) -> None:
    source = samples.make(frames=20, audio=["aac"])
    with (  # noqa: PT012
        pytest.raises(InputError, match="has changed"),
        open_video(source) as video,
        create_video(samples.folder / "out.mp4", like=video.info) as writer,
    ):
        for frame in video:
            writer.write(frame.pixels, frame)
        append(source)
    assert not (samples.folder / "out.mp4").exists()


def test_a_part_that_was_read_before(samples) -> None:
    source = samples.make(frames=60)
    with open_video(source, frames=3) as video:
        frames = list(video)
        append(source)
        assert len(frames) == 3


@pytest.mark.parametrize("missing", [1, 3])
def test_images_that_vanish(samples, missing: int) -> None:
    for number in range(4):
        write_image(samples.folder / f"{number}.png", samples.picture(number, 8, 6))
    info = read_video_info(samples.folder)
    with open_video(samples.folder, info=info) as video, pytest.raises(InputError):  # noqa: PT012
        next(video)
        (samples.folder / f"{missing}.png").unlink()
        list(video)
    with (
        open_video(samples.folder, info=info) as video,
        pytest.raises(InputError, match="had 4 images before, and has 3 now"),
    ):
        list(video)
