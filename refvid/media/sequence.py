"""Image sequences: a folder of images, a pattern such as `shot_%04d.png`, or one image.

Only names of images are patterns: `take%d.mp4` is a video's. In a pattern, `%%` stands for `%`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from refvid.errors import InputError, OptionError
from refvid.media.file_kind import is_picture
from refvid.media.folders import is_file, is_folder, is_hidden, list_files
from refvid.media.image import IMAGE_SUFFIXES, read_image
from refvid.media.pixel_conversion import Pixels

_MARKS: Final = re.compile(r"%%|%(?P<zeros>0?)(?P<width>\d{0,2})d")


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedImage:
    """One image of a sequence."""

    path: Path
    number: int


def is_pattern(path: Path) -> bool:
    """Whether a path stands for numbered files, as `shot_%04d.png` does."""
    return path.suffix.lower() in IMAGE_SUFFIXES and _count_numbers(path.name) > 0


def check_pattern(path: Path) -> None:
    """Raise `OptionError` where it is not clear which part of a pattern is the number."""
    if _count_numbers(path.name) > 1:
        raise OptionError(
            f"{path.name} has two places for numbers. Write %% for a percent sign in a name."
        )


def _count_numbers(name: str) -> int:
    return sum(mark[0] != "%%" for mark in _MARKS.finditer(name))


def is_sequence_pattern(path: Path) -> bool:
    """Whether a path is an image-sequence pattern such as `shot_%04d.png`."""
    return is_pattern(path) and not is_file(path)


def is_image_sequence(path: Path) -> bool:
    """Whether an input is a folder of images, a pattern, or a single image that does not move."""
    if is_folder(path):
        return True
    return is_picture(path) if is_file(path) else is_pattern(path)


def stem_without_number(pattern: Path) -> str:
    """Return what the images of a pattern have in common, without their suffix."""
    return _MARKS.sub(lambda mark: "%" if mark[0] == "%%" else "", pattern.stem)


def numbered_path(pattern: Path, number: int) -> Path:
    """Fill a number into a pattern; a name that is none stays as it is."""

    def fill(mark: re.Match[str]) -> str:
        return "%" if mark[0] == "%%" else f"{number:{mark['zeros']}{mark['width']}d}"

    return pattern.with_name(_MARKS.sub(fill, pattern.name)) if is_pattern(pattern) else pattern


def split_pattern(pattern: Path) -> tuple[str, str]:
    """What comes before and after the number in the names of a pattern's files."""
    number = next(mark for mark in _MARKS.finditer(pattern.name) if mark[0] != "%%")
    parts = pattern.name[: number.start()], pattern.name[number.end() :]
    before, after = (part.replace("%%", "%") for part in parts)
    return before, after


def find_images(path: Path) -> list[NumberedImage]:
    """List a sequence's images in order.

    A pattern's images are ordered by number; gaps are fine. A folder's are in natural order
    (2 before 10) and keep the number at the end of their names where every name has its own,
    else they are counted from 1.

    Raises:
        InputError: There are none.
    """
    if is_folder(path):
        images = _folder_images(path)
        missing = f"{path} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})."
    elif is_sequence_pattern(path):
        check_pattern(path)
        images = _pattern_images(path)
        missing = f"No file matches {path}."
    else:
        images = [NumberedImage(path=path, number=1)]
        missing = ""
    if not images:
        raise InputError(f"{missing} Check the path.")
    return images


def read_same_size(path: Path, width: int, height: int) -> Pixels:
    """Read an image of a sequence.

    Raises:
        InputError: It cannot be read, or its size differs from the first image's.
    """
    pixels = read_image(path)
    if pixels.shape[:2] != (height, width):
        raise InputError(
            f"{path} is {pixels.shape[1]}x{pixels.shape[0]}, but the sequence began with "
            f"{width}x{height}. All images of a sequence must have one size."
        )
    return pixels


def _pattern_images(pattern: Path) -> list[NumberedImage]:
    before, after = split_pattern(pattern)
    wanted = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    images = []
    for candidate in list_files(pattern.parent, hidden=is_hidden(pattern)):
        match = wanted.fullmatch(candidate.name)
        # `%04d` matches 0001 and 12345, but not 1: what printf would have written.
        if match and candidate.name == numbered_path(pattern, int(match[1])).name:
            images.append(NumberedImage(path=candidate, number=int(match[1])))
    return sorted(images, key=lambda image: image.number)


def _folder_images(folder: Path) -> list[NumberedImage]:
    paths = [path for path in list_files(folder) if path.suffix.lower() in IMAGE_SUFFIXES]
    paths.sort(key=_natural_key)
    ends = [re.search(r"(\d+)$", path.stem) for path in paths]
    numbers = [int(match[1]) for match in ends if match]
    if len(set(numbers)) < len(paths):
        numbers = list(range(1, len(paths) + 1))
    return [
        NumberedImage(path=path, number=number) for path, number in zip(paths, numbers, strict=True)
    ]


def _natural_key(path: Path) -> tuple[tuple[bool, int, str], ...]:
    parts = re.split(r"(\d+)", path.name.casefold())
    return tuple((part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts)
