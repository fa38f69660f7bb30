"""Unfinished outputs: their names, their locks, and finding those whose writer is dead.

An unfinished output is hidden, lies beside its final place and has a name that nobody can guess:
`.refvid-HHHHRRRRRRRR.mp4`, where H stands for this machine and R is random. Its writer holds a lock
on it, which the system takes back when the writer ends, however that happens: whoever gets the
lock knows that nobody is writing there any more.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from refvid.errors import OutputError

_NAME: Final = re.compile(r"\.refvid-([0-9a-f]{4})[0-9a-f]{8}(\.[^.]+)?")
_LONGEST_SUFFIX: Final = 16  # bytes; a name must not become longer than file systems take
_LONG_AGO_S: Final = 24 * 60 * 60
_ATTEMPTS: Final = 100
_FULL_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

# Windows deletes and renames no open file, which is lock enough there.
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_BINARY: Final = getattr(os, "O_BINARY", 0)


def is_unfinished(name: str) -> bool:
    """Whether a file or folder of this name is an unfinished output."""
    return _NAME.fullmatch(name) is not None


def create_unfinished_file(folder: Path, suffix: str) -> tuple[Path, int]:
    """Create an empty file of ours, which never is one that was there before.

    Returns:
        Its path, and the open descriptor that holds its lock.

    Raises:
        OSError: It cannot be created.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY
    for _ in range(_ATTEMPTS):
        path = folder / _new_name(suffix)
        try:
            descriptor = os.open(path, flags, 0o666)
        except FileExistsError:
            continue
        if _lock(descriptor) is not False and path.exists():
            return path, descriptor
        os.close(descriptor)  # somebody took it for a leftover, in the moment before the lock
    raise FileExistsError(f"no free name in {folder}")


def create_unfinished_folder(folder: Path) -> tuple[Path, int | None]:
    """Create an empty folder of ours; see `create_unfinished_file`."""
    for _ in range(_ATTEMPTS):
        path = folder / _new_name("")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        descriptor = _open_folder(path)
        if descriptor is None or (_lock(descriptor) is not False and path.exists()):
            return path, descriptor
        os.close(descriptor)
    raise FileExistsError(f"no free name in {folder}")


def move_unfinished(path: Path, folder: Path) -> tuple[Path, int | None]:
    """Bring a folder of ours to its place under the name of an unfinished one, by one rename.

    Returns:
        Its path, and the open descriptor that holds its lock.

    Raises:
        OSError: It cannot be moved.
    """
    descriptor = _open_folder(path)
    if descriptor is not None:
        _lock(descriptor)
    for _ in range(_ATTEMPTS):
        target = folder / _new_name("")
        if not target.exists():
            return path.rename(target), descriptor
    raise FileExistsError(f"no free name in {folder}")


def cannot_write(output: Path, error: Exception) -> OutputError:
    """Say that an output cannot be written, and why, in place of a system's or library's error."""
    # Libraries that are not Python's tell the system's words alone.
    if getattr(error, "errno", None) in _FULL_DISK or os.strerror(errno.ENOSPC) in str(error):
        reason = "no space is left on the disk. Free some or write elsewhere"
    else:
        reason = getattr(error, "strerror", None) or str(error)
    return OutputError(f"Cannot write {output}: {reason}.")


def find_abandoned(folder: Path) -> Iterator[Path]:
    """Give the unfinished outputs in a folder that are certainly ours and that nobody writes.

    Each is locked until the next is asked for.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if is_unfinished(entry.name)]
    except OSError:
        return  # nothing can be done here; who writes here will say so
    for entry in found:
        path = folder / entry.name
        descriptor: int | None = None
        with suppress(OSError):
            # A journal of somebody else's could move files of ours.
            if os.name == "posix" and entry.stat(follow_symlinks=False).st_uid != os.geteuid():
                continue
            if entry.is_dir(follow_symlinks=False):
                descriptor = _open_folder(path)
            elif entry.is_file(follow_symlinks=False):
                descriptor = os.open(path, os.O_RDWR | _NO_FOLLOW | _BINARY)
            else:
                continue
            try:
                if _is_abandoned(path, descriptor):
                    yield path
            finally:
                if descriptor is not None:
                    os.close(descriptor)


def _is_abandoned(path: Path, descriptor: int | None) -> bool:
    is_locked = None if descriptor is None else _lock(descriptor)
    if is_locked is False:
        return False
    # Locks do not reach from one machine to another on every network file system.
    match = _NAME.fullmatch(path.name)
    if is_locked and match is not None and match[1] == _machine():
        return True
    return time.time() - path.lstat().st_mtime > _LONG_AGO_S


def _new_name(suffix: str) -> str:
    if len(os.fsencode(suffix)) > _LONGEST_SUFFIX:
        suffix = ""
    return f".refvid-{_machine()}{secrets.token_hex(4)}{suffix}"


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()) & 0xFFFF:04x}"


if sys.platform == "win32":
    import msvcrt

    def _open_folder(_path: Path) -> None:
        return None

    def _lock(_descriptor: int) -> None:
        return None

    def lock_file(descriptor: int) -> bool:
        """Lock a file that stays open and is never renamed; see below."""
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _open_folder(path: Path) -> int | None:
        try:
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY | _NO_FOLLOW)
        except OSError:
            return None

    def _lock(descriptor: int) -> bool | None:
        """Lock without waiting: False where another has it, None where nobody can tell."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True

    lock_file = _lock
