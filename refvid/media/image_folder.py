"""A folder of images: a sequence, several of them, or pictures that have nothing in common."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from refvid.media.folders import list_files
from refvid.media.image import IMAGE_SUFFIXES
from refvid.media.image_facts import read_image_size
from refvid.media.sequence import numbered_path

logger = logging.getLogger(__name__)

_NUMBER = re.compile(r"[0-9]+$")


def images_in(folder: Path) -> list[Path]:
    """The images of a folder, by name.

    Raises:
        InputError: It may not be listed.
    """
    return [path for path in list_files(folder) if path.suffix.lower() in IMAGE_SUFFIXES]


def split_images(images: Sequence[Path]) -> list[Path]:
    """Tell the sequences among the images of a folder from pictures that stand alone.

    A sequence has names that differ in the number at their end only, and one size.

    Returns:
        A pattern for each sequence, and the other images as they are, by name.
    """
    groups: dict[tuple[str, str], list[Path]] = {}
    for image in images:
        groups.setdefault((_NUMBER.sub("", image.stem), image.suffix), []).append(image)
    found: list[Path] = []
    for group in groups.values():
        pattern = numbered_pattern(group)
        if pattern is not None and _have_one_size(group):
            found.append(pattern)
            continue
        if pattern is not None:
            logger.warning(
                "%s: the images have different sizes, so each is taken on its own", pattern
            )
        found += group
    return sorted(found)


def numbered_pattern(images: Sequence[Path]) -> Path | None:
    """The pattern such as `shot_%04d.png` that stands for all of two images or more."""
    if len(images) < 2:
        return None
    first = images[0]
    prefix = _NUMBER.sub("", first.stem)
    digits = [image.stem.removeprefix(prefix) for image in images]
    if not all(word.isascii() and word.isdecimal() for word in digits):
        return None
    is_padded = any(word != str(int(word)) for word in digits)
    padding = f"0{min(map(len, digits))}" if is_padded else ""
    # The suffix is that of an image, which has no percent sign.
    pattern = first.with_name(f"{prefix.replace('%', '%%')}%{padding}d{first.suffix}")
    is_spelled = all(
        numbered_path(pattern, int(number)) == image
        for number, image in zip(digits, images, strict=True)
    )
    return pattern if is_spelled else None


def _have_one_size(images: Sequence[Path]) -> bool:
    """Whether all that can be read agree; what cannot be read is for its own job to say."""
    first: tuple[int, int] | None = None
    for image in images:
        size = read_image_size(image)
        first = first or size
        if size not in (None, first):
            return False
    return True
