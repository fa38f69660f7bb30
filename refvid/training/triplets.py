"""Triplets for the task style: a content, a style, and the content in that style.

FOLDER/content/NAME, FOLDER/style/NAME and FOLDER/stylised/NAME belong together; the suffixes may
differ. Where FOLDER/triplets.csv exists, its columns content, style and stylised say what belongs
together, as paths relative to FOLDER. Contents and stylised results are pictures, or short videos
of equal length; a style is a picture, or the first frame of a video.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from refvid.errors import InputError, OutputError
from refvid.media.container import find_video_stream, open_container
from refvid.media.folders import is_hidden
from refvid.media.image import IMAGE_SUFFIXES, read_image
from refvid.media.pixel_conversion import to_uint8
from refvid.training.clips import CLIP_SUFFIXES, leave_stopping
from refvid.wording import counted

logger = logging.getLogger(__name__)

TABLE = "triplets.csv"
_CONTENT, _STYLE, _STYLISED = _MEMBERS = ("content", "style", "stylised")
_SAME_SHAPE = 0.02
"""Proportions may differ by as much as rounding to multiples of 16 changes them."""

_CHUNK = 16


@dataclass(frozen=True, slots=True)
class Triplet:
    """Three files; what is known of them once they are read."""

    content: str
    style: str
    stylised: str
    """Paths."""

    frames: int = 0
    """1 is a picture, or a video that is none."""

    size: tuple[int, int] = (0, 0)
    """Height and width of the content [pixels]."""

    style_digest: str = ""
    """Of the style's file: triplets of one style are known by it."""


def find_triplets(folder: Path) -> list[Triplet]:
    """List a folder's triplets, of files that are there.

    Those that lack a member are left out with a warning that counts them.

    Raises:
        InputError: The table cannot be read, or lacks a column.
    """
    table = folder / TABLE
    listed = list(_listed(table) if table.is_file() else _by_name(folder))
    whole = [
        Triplet(str(content), str(style), str(stylised))
        for content, style, stylised in listed
        if content.is_file() and style.is_file() and stylised.is_file()
    ]
    if missing := len(listed) - len(whole):
        logger.warning("%d of %d triplets lack a file", missing, len(listed))
    return whole


def _listed(table: Path) -> Iterator[tuple[Path, Path, Path]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if missing := [name for name in _MEMBERS if name not in (rows.fieldnames or ())]:
                raise InputError(f"{table} has no column {missing[0]}: name all three in its head.")
            for row in rows:
                content, style, stylised = (table.parent / (row[name] or "") for name in _MEMBERS)
                yield content, style, stylised
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Cannot read {table}: {error}.") from error


def _by_name(folder: Path) -> Iterator[tuple[Path, Path, Path]]:
    """Every name that one of the three folders has; where a file lacks, a path of nothing."""
    found: dict[str, dict[str, Path]] = {}
    for member in _MEMBERS:
        root = folder / member
        for path in sorted(root.rglob("*")):
            if path.suffix.lower() in IMAGE_SUFFIXES | CLIP_SUFFIXES and not is_hidden(path):
                name = path.relative_to(root).with_suffix("").as_posix()
                found.setdefault(name, {})[member] = path
    for name, paths in sorted(found.items()):
        content, style, stylised = (paths.get(m, folder / m / name) for m in _MEMBERS)
        yield content, style, stylised


def check_triplets(triplets: list[Triplet], record: Path, workers: int) -> list[Triplet]:
    """Read every file once, and keep the triplets that can be learned from.

    What was found is recorded, and not looked for again while the files stay as they are. Each
    triplet that is skipped has a warning; the last one counts them all.

    Args:
        triplets: From `find_triplets`.
        record: A JSON file.
        workers: Processes; 0 reads in this one.

    Raises:
        OutputError: The record cannot be written.
    """
    known = _read_record(record)
    keys = [_key(triplet) for triplet in triplets]
    new = {key: t for key, t in zip(keys, triplets, strict=True) if key not in known}
    known |= zip(new, _all(list(new.values()), workers), strict=True)
    if new:
        _write_record(record, {key: known[key] for key in keys})
    usable = []
    for triplet, key in zip(triplets, keys, strict=True):
        found = known[key]
        if isinstance(found, Triplet):
            usable.append(found)
        else:
            logger.warning("skipped %s: %s", triplet.stylised, found)
    if broken := len(triplets) - len(usable):
        logger.warning("%d of %d triplets cannot be used", broken, len(triplets))
    return usable


def _all(triplets: list[Triplet], workers: int) -> Iterable[Triplet | str]:
    if workers == 0 or len(triplets) <= _CHUNK:
        yield from map(_examine, triplets)
        return
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=leave_stopping
    ) as pool:
        try:
            yield from pool.map(_examine, triplets, chunksize=_CHUNK)
        finally:
            pool.shutdown(cancel_futures=True)


def _examine(triplet: Triplet) -> Triplet | str:
    """Read all of a triplet; gives what is wrong with it, or what it is."""
    try:
        read_style(triplet)
        frames, size = _measure(Path(triplet.content))
        other_frames, other = _measure(Path(triplet.stylised))
        digest = hashlib.sha256(Path(triplet.style).read_bytes()).hexdigest()[:16]
    except (InputError, OSError) as error:
        return str(error)
    if frames != other_frames:
        return f"it has {counted(other_frames, 'frame')}, the content {frames}"
    if abs(size[0] * other[1] / (size[1] * other[0]) - 1) > _SAME_SHAPE:
        return f"it is {other[1]}x{other[0]}, the content {size[1]}x{size[0]}"
    return Triplet(triplet.content, triplet.style, triplet.stylised, frames, size, digest)


def _measure(path: Path) -> tuple[int, tuple[int, int]]:
    """Frames, and height and width."""
    frames, size = 0, (0, 0)
    for picture in _pictures(path):
        frames, size = frames + 1, picture.shape[:2]
    if frames == 0:
        raise InputError(f"{path} has no frames.")
    return frames, size


def read_style(triplet: Triplet) -> NDArray[np.uint8]:
    """The style of a triplet, (h, w, 3) uint8 RGB.

    Raises:
        InputError: It cannot be read.
    """
    picture = next(_pictures(Path(triplet.style)), None)
    if picture is None:
        raise InputError(f"{triplet.style} has no frames.")
    return picture


def read_pair(
    triplet: Triplet, start: int, count: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Content and stylised frames, (H, W, 3) uint8 RGB each, from one on.

    Raises:
        InputError: A file cannot be read.
    """
    paths = Path(triplet.content), Path(triplet.stylised)
    pairs = zip(*map(_pictures, paths), strict=False)
    return itertools.islice(pairs, start, start + count)


def _pictures(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Frames (H, W, 3) uint8 RGB of a video, or the one of a picture."""
    if path.suffix.lower() not in CLIP_SUFFIXES:
        yield to_uint8(read_image(path))
        return
    try:
        with open_container(path) as container:
            for frame in container.decode(find_video_stream(container, path)):
                yield frame.to_ndarray(format="rgb24").astype(np.uint8)
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:
        raise InputError(f"Cannot read {path}: {error}.") from error


def _key(triplet: Triplet) -> str:
    """Changes when a file does."""
    facts = []
    for path in (triplet.content, triplet.style, triplet.stylised):
        about = Path(path).stat()
        facts.append((str(Path(path).resolve()), about.st_size, about.st_mtime_ns))
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _read_record(record: Path) -> dict[str, Triplet | str]:
    try:
        entries = json.loads(record.read_text(encoding="utf-8"))
        return {
            key: value
            if isinstance(value, str)
            else Triplet(**{**value, "size": tuple(value["size"])})
            for key, value in entries.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # none yet, or of another version: all are examined again


def _write_record(record: Path, entries: dict[str, Triplet | str]) -> None:
    plain = {
        key: value if isinstance(value, str) else asdict(value) for key, value in entries.items()
    }
    partial = record.with_suffix(".partial")
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(plain), encoding="utf-8")
        partial.replace(record)
    except OSError as error:
        raise OutputError(f"Cannot write {record}: {error.strerror or error}.") from error
