"""Looking at paths and folders as a user sees them: no hidden files, and no error but our own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from refvid.errors import InputError


def is_file(path: Path) -> bool:
    """Whether there is a file that can be seen from here.

    `Path.is_file` fails where a folder above may not be searched, or the name is impossible.
    """
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether there is a folder that can be seen from here."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def exists(path: Path) -> bool:
    """Whether there is anything that can be seen from here."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def refuse_special(path: Path) -> None:
    """Refuse pipes and devices under a name: files are read more than once, and from any place.

    Raises:
        InputError: There is something that is neither file nor folder.
    """
    if exists(path) and not is_file(path) and not is_folder(path):
        raise InputError(
            f"{path} is a pipe or a device, and refvid reads files more than once. Put it into a "
            "file first, or give a video on standard input: -"
        )


def is_hidden(path: Path) -> bool:
    """Whether a name is hidden by its dot: unfinished results, `._name` of macOS."""
    return path.name.startswith(".") and path.name not in (".", "..")


def may(path: Path, mode: int) -> bool:
    """Whether a file or folder may be used in some way: `os.R_OK`, `os.W_OK`, `os.X_OK`."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def list_files(folder: Path, *, hidden: bool = False) -> list[Path]:
    """The files of a folder by name; the hidden ones only where these are asked for.

    Raises:
        InputError: It is no folder, or may not be listed.
    """
    return sorted(
        path for path in _entries(folder) if (hidden or not is_hidden(path)) and is_file(path)
    )


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except FileNotFoundError as error:
        raise InputError(f"The folder {folder} does not exist. Check the path.") from error
    except OSError as error:
        raise InputError(f"Cannot list the folder {folder}: {error.strerror}.") from error
