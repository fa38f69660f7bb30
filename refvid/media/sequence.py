"""Image sequences: a folder of images, a pattern such as `shot_%04d.png`, or one image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from refvid.errors import InputError
from refvid.media.image import IMAGE_SUFFIXES, read_image
from refvid.media.pixel_conversion import Pixels

_PATTERN: Final = re.compile(r"%(0?)(\d{0,2})d")


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedImage:
    """One image of a sequence."""

    path: Path
    number: int


def is_pattern(path: Path) -> bool:
    """Whether a path stands for numbered files, as `shot_%04d.png` does."""
    return _PATTERN.search(path.name) is not None


def is_sequence_pattern(path: Path) -> bool:
    """Whether a path is an image-sequence pattern such as `shot_%04d.png`."""
    return is_pattern(path) and not path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES


def is_image_sequence(path: Path) -> bool:
    """Whether an input is a folder of images, a pattern, or a single image."""
    if path.is_dir():
        return True
    if path.is_file():
        return path.suffix.lower() in IMAGE_SUFFIXES
    return is_pattern(path)


def numbered_path(pattern: Path, number: int) -> Path:
    """Fill a number into a pattern."""

    def digits(match: re.Match[str]) -> str:
        padding, width = match.groups()
        return f"{number:{'0' if padding else ''}{width}d}"

    return pattern.with_name(_PATTERN.sub(digits, pattern.name, count=1))


def find_images(path: Path) -> list[NumberedImage]:
    """List a sequence's images in order.

    A pattern's images are ordered by number; gaps are fine. A folder's are in natural order
    (2 before 10) and keep the number at the end of their names where every name has its own,
    else they are counted from 1.

    Raises:
        InputError: There are none.
    """
    if path.is_dir():
        images = _folder_images(path)
        missing = f"{path} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})."
    elif is_pattern(path) and not path.is_file():
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
    before, after = _PATTERN.split(pattern.name, maxsplit=1)[::3]
    wanted = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    images = []
    for candidate in _files(pattern.parent):
        match = wanted.fullmatch(candidate.name)
        # `%04d` matches 0001 and 12345, but not 1: what printf would have written.
        if match and candidate.name == numbered_path(pattern, int(match[1])).name:
            images.append(NumberedImage(path=candidate, number=int(match[1])))
    return sorted(images, key=lambda image: image.number)


def _folder_images(folder: Path) -> list[NumberedImage]:
    paths = [
        path
        for path in _files(folder)
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    paths.sort(key=_natural_key)
    ends = [re.search(r"(\d+)$", path.stem) for path in paths]
    numbers = [int(match[1]) for match in ends if match]
    if len(set(numbers)) < len(paths):
        numbers = list(range(1, len(paths) + 1))
    return [
        NumberedImage(path=path, number=number) for path, number in zip(paths, numbers, strict=True)
    ]


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise InputError(f"The folder {folder} does not exist. Check the path.")
    try:
        yield from (path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise InputError(f"Cannot list {folder}: {error.strerror}.") from error


def _natural_key(path: Path) -> tuple[tuple[bool, int, str], ...]:
    parts = re.split(r"(\d+)", path.name.casefold())
    return tuple((part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts)
