"""Animated WebP: pictures and times, and files whose pictures are damaged."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refvid.errors import InputError
from refvid.media.reader import open_video

DURATIONS_MS = [40, 120, 80]


@pytest.fixture
def animation(tmp_path: Path) -> Path:
    path = tmp_path / "moving.webp"
    first, *others = (Image.new("RGB", (32, 24), (level, 0, 0)) for level in (40, 120, 200))
    first.save(path, save_all=True, append_images=others, duration=DURATIONS_MS, lossless=True)
    return path


def test_pictures_and_times(animation: Path) -> None:
    with open_video(animation) as video:
        frames = list(video)
    assert [int(frame.pixels[0, 0, 0]) for frame in frames] == [40, 120, 200]
    starts = np.cumsum([0, *DURATIONS_MS[:-1]])
    assert [frame.time * 1000 for frame in frames] == starts.tolist()


def test_fewer_pictures_than_are_named(animation: Path) -> None:
    data = animation.read_bytes()
    at = data.rindex(b"VP8L")
    # libwebp leaves out a picture of no known kind, which the file's own list still has.
    animation.write_bytes(data[:at] + b"\2\x7f\xff\xff" + data[at + 4 :])
    with (
        open_video(animation) as video,
        pytest.raises(InputError, match=r"picture 3 of 3 .*damaged"),
    ):
        list(video)


def test_a_damaged_picture(animation: Path) -> None:
    data = bytearray(animation.read_bytes())
    at = data.rindex(b"VP8L") + 14  # behind its size
    data[at : at + 6] = b"\xff" * 6
    animation.write_bytes(data)
    with open_video(animation) as video, pytest.raises(InputError, match="damaged"):
        list(video)
