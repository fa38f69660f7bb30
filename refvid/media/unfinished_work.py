"""What interrupted runs have left in folders, for `refvid clean`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from refvid.media.folders import is_hidden
from refvid.media.journal import has_journal
from refvid.media.leftovers import finish_or_remove
from refvid.media.unfinished import find_abandoned
from refvid.media.work_journal import JOURNAL, find_work_folders, read_journal, remove_work


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something that no running process uses."""

    path: Path
    output: str | None
    """Name of the result that it belongs to, if that can be told."""

    frames: int
    """Frames that are finished: the same command goes on after them."""

    bytes: int
    age_s: float
    """Since it was last written to."""

    is_move: bool = False
    """Whether these are whole images on their way to their places: then they are brought there."""


def find_leftovers(folder: Path, *, recursive: bool, remove: bool) -> Iterator[Leftover]:
    """Look for what interrupted runs have left; what a running one uses is left alone.

    Args:
        folder: Where results go.
        recursive: Look into the folders below, too.
        remove: Remove each after it was given.
    """
    for place in _folders(folder) if recursive else [folder]:
        for path in find_work_folders(place):
            yield _describe_work(path)
            if remove:
                remove_work(path)
        for path in find_abandoned(place):
            yield _describe(path, output=None, frames=0, is_move=has_journal(path))
            if remove:
                finish_or_remove(path)


def _describe_work(path: Path) -> Leftover:
    journal = read_journal(path)
    frames = 0
    for line in journal.lines if journal is not None else ():
        with suppress(KeyError, TypeError, ValueError):
            frames = int(line["facts"]["run"]["frames"])
    return _describe(path, output=None if journal is None else journal.output, frames=frames)


def _describe(path: Path, *, output: str | None, frames: int, is_move: bool = False) -> Leftover:
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    states = []
    for file in files:
        with suppress(OSError):
            states.append(file.lstat())
    with suppress(OSError):
        states.append((path / JOURNAL).lstat())
    newest = max((state.st_mtime for state in states), default=0.0)
    return Leftover(
        path=path,
        output=output,
        frames=frames,
        bytes=sum(file.lstat().st_size for file in files if file.is_file()),
        age_s=max(0.0, time.time() - newest),
        is_move=is_move,
    )


def _folders(top: Path) -> Iterator[Path]:
    for place, names, _ in os.walk(top):
        names[:] = sorted(name for name in names if not is_hidden(Path(name)))
        yield Path(place)
