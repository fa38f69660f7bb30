"""Is a file still what it was when it was first looked at?

A file that is cut, replaced or removed while it is read looks to libav as if it simply ended.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from refvid.errors import InputError


class FileState(NamedTuple):
    """What tells a file from another, and from itself after a change."""

    device: int
    number: int
    size: int
    """[bytes]"""

    changed_ns: int


def file_state(path: Path) -> FileState:
    """Look at a file.

    Raises:
        OSError: It is not there, or may not be looked at.
    """
    status = path.stat()
    return FileState(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def is_unchanged(path: Path, before: FileState) -> bool:
    """Whether a file is still the same."""
    try:
        return file_state(path) == before
    except OSError:
        return False


def check_unchanged(path: Path, before: FileState) -> None:
    """Make sure that what was read is one whole file.

    Raises:
        InputError: It changed, or is gone.
    """
    try:
        now = file_state(path)
    except OSError as error:
        raise InputError(
            f"{path} was removed or renamed while it was read: what was read of it may not be all."
        ) from error
    if now != before:
        raise InputError(
            f"{path} has changed while it was read ({before.size} bytes before, {now.size} now). "
            "Run again once nothing writes to it."
        )
