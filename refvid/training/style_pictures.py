"""Pictures whose style is learned: read once, shrunk, and mapped from a cache when drawn."""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refvid.errors import InputError, OutputError
from refvid.media.fit import fit_image
from refvid.media.folders import is_hidden
from refvid.media.image import IMAGE_SUFFIXES, read_image
from refvid.media.pixel_conversion import to_uint8

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StylePicture:
    """A picture on disk; it goes to worker processes as a name."""

    name: str
    """Of the user's file."""

    pixels: Path
    """(h, w, 3) uint8 RGB, an array file."""

    def open(self) -> NDArray[np.uint8]:
        """Map its pixels into memory, (h, w, 3) uint8 RGB."""
        mapped: NDArray[np.uint8] = np.load(self.pixels, mmap_mode="r")
        return mapped


def find_styles(folder: Path, exclude: Sequence[str] = ()) -> list[Path]:
    """Pictures of a folder and its subfolders, in order of their paths."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
        and path.name not in exclude
        and not is_hidden(path)
    ]


def cache_styles(paths: Sequence[Path], cache: Path, side: int) -> list[StylePicture]:
    """Read pictures that are not in the cache yet.

    One that cannot be read is skipped with a warning; the last warning counts them all.

    Args:
        paths: Files of any size.
        cache: A folder, which is made.
        side: Pictures whose shorter side is longer than this are shrunk to it [pixels].

    Raises:
        OutputError: The cache cannot be written.
    """
    pictures = list(_cached(paths, cache, side))
    if broken := len(paths) - len(pictures):
        logger.warning("%d of %d styles could not be read", broken, len(paths))
    return pictures


def _cached(paths: Sequence[Path], cache: Path, side: int) -> Iterator[StylePicture]:
    for path in paths:
        facts = (str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns, side)
        key = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
        array = cache / f"{path.stem}-{key}.npy"
        if not array.exists():
            try:
                pixels = _shrunk(to_uint8(read_image(path)), side)
            except InputError as error:
                logger.warning("skipped: %s", error)
                continue
            _write(array, pixels)
        yield StylePicture(path.name, array)


def _shrunk(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    if min(height, width) <= side:
        return pixels
    scale = side / min(height, width)
    return to_uint8(fit_image(pixels, round(width * scale), round(height * scale), "stretch"))


def _write(array: Path, pixels: NDArray[np.uint8]) -> None:
    partial = array.with_suffix(".partial")
    try:
        array.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.save(file, pixels)
        partial.replace(array)
    except OSError as error:
        raise OutputError(f"Cannot write {array}: {error.strerror or error}.") from error


def hold_out_styles(
    names: Sequence[str], held: Sequence[str], share: float, seed: int
) -> frozenset[str]:
    """Choose styles that are never learned from, so that they show what unseen ones look like.

    Names that go on where another's stem ends (scream_detail.png beside scream.png) are of one
    picture, and stay together.

    Args:
        names: File names of all styles.
        held: Names to hold out; none given draws some.
        share: Share of the pictures that is drawn.
        seed: Of the draw.

    Returns:
        The names held out; none, with a warning, where there is only one picture.

    Raises:
        InputError: One of `held` is none of the styles, or nothing would be left.
    """
    pictures = {name: _picture_of(name, names) for name in names}
    all_pictures = sorted(set(pictures.values()))
    if unknown := [name for name in held if name not in pictures]:
        raise InputError(f"There is no style {unknown[0]} to hold out.")
    if held:
        chosen = {pictures[name] for name in held}
        if len(chosen) == len(all_pictures):
            raise InputError("All styles are held out: none is left to learn from.")
    else:
        random.Random(f"{seed}:held-out styles").shuffle(all_pictures)
        count = min(round(share * len(all_pictures)), len(all_pictures) - 1)
        chosen = set(all_pictures[: max(0, count)])
        if not chosen:
            logger.warning(
                "%d styles are too few to hold one out: validation is on styles of the training "
                "(--valid-styles names others)",
                len(all_pictures),
            )
    return frozenset(name for name in names if pictures[name] in chosen)


def _picture_of(name: str, names: Sequence[str]) -> str:
    stem = Path(name).stem
    return min(
        (other for n in names if stem == (other := Path(n).stem) or stem.startswith(f"{other}_")),
        key=len,
    )
