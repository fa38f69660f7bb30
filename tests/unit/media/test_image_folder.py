"""What is one sequence, and what are pictures that happen to share a folder."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refvid.media.image import write_image
from refvid.media.image_folder import images_in, numbered_pattern, split_images


def make(folder: Path, *names: str, size: tuple[int, int] = (8, 6)) -> None:
    for name in names:
        write_image(folder / name, np.zeros((size[1], size[0], 3), np.uint8))


def split(folder: Path) -> list[str]:
    return [path.name for path in split_images(images_in(folder))]


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["f_0001.png", "f_0002.png", "f_0010.png"], "f_%04d.png"),
        (["1.png", "2.png", "10.png"], "%d.png"),
        (["9.png", "0010.png"], None),
        (["a-01.jpg", "a-02.jpg", "a-100.jpg"], "a-%02d.jpg"),
        (["a1.png", "a01.png"], None),
        (["a.png", "a1.png"], None),
        (["f_1.png"], None),
        (["100%d1.png", "100%d2.png"], "100%%d%d.png"),
        (["f_1.png", "f_2.jpg"], None),
        (["v2_1.png", "v2_2.png"], "v2_%d.png"),
    ],
)
def test_patterns(names: list[str], pattern: str | None) -> None:
    found = numbered_pattern([Path(name) for name in names])
    assert (None if found is None else found.name) == pattern


def test_one_sequence(tmp_path: Path) -> None:
    make(tmp_path, "f_1.png", "f_2.png", "f_3.png", ".f_4.png")
    assert split(tmp_path) == ["f_%d.png"]


def test_pictures_with_names_of_their_own(tmp_path: Path) -> None:
    make(tmp_path, "beach.png", "dog.jpg", "me.png")
    assert split(tmp_path) == ["beach.png", "dog.jpg", "me.png"]


def test_two_shots_and_a_cover(tmp_path: Path) -> None:
    make(tmp_path, "a_1.png", "a_2.png", "b_1.png", "b_2.png", "cover.jpg")
    assert split(tmp_path) == ["a_%d.png", "b_%d.png", "cover.jpg"]


def test_different_sizes_are_no_sequence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "IMG_1.png", "IMG_2.png")
    make(tmp_path, "IMG_3.png", size=(6, 8))
    with caplog.at_level(logging.WARNING):
        assert split(tmp_path) == ["IMG_1.png", "IMG_2.png", "IMG_3.png"]
    assert "different sizes" in caplog.text


def test_sizes_are_those_that_are_shown(tmp_path: Path) -> None:
    for number, size, turned in ((1, (8, 6), 1), (2, (6, 8), 6)):
        exif = Image.Exif()
        exif[0x0112] = turned
        Image.new("RGB", size).save(tmp_path / f"{number}.jpg", exif=exif)
    assert split(tmp_path) == ["%d.jpg"]


def test_damaged_images_do_not_decide(tmp_path: Path) -> None:
    make(tmp_path, "1.png", "3.png")
    (tmp_path / "2.png").write_bytes(b"damaged")
    assert split(tmp_path) == ["%d.png"]
