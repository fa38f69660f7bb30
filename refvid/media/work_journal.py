"""The journal of a work folder: what is finished, line by line, and who may use it.

The first line says what the work is, every further one a finished stretch with the sizes and the
checksums of its files. Whoever finds the folder unlocked knows that nobody works there any more.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from refvid.media.unfinished import lock_file

PREFIX: Final = ".refvid-resume-"
LOCK: Final = "lock"
JOURNAL: Final = "journal.jsonl"

_FORMAT: Final = 1
_NAME: Final = re.compile(re.escape(PREFIX) + "[0-9a-f]{16}")
_BLOCK: Final = 1 << 20
DAMAGE: Final = (OSError, ValueError, TypeError, KeyError, IndexError)
"""What comes of a line that is not as it was written."""


class FileEntry(NamedTuple):
    """A file as it was when it was safe on the disk."""

    name: str
    """Inside the work folder."""

    size: int
    checksum: int
    """CRC-32: tells damage, not malice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A finished part of a result."""

    files: tuple[Path, ...]
    facts: Mapping[str, Any]
    """What its writer has noted, in plain JSON types."""

    state: Path | None = None
    """What the work goes on from after it, where that takes a file. Only the last stretch's is
    kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What was read."""

    output: str
    """Name of the result, beside which the folder lies."""

    identity: Mapping[str, str]
    begin: Mapping[str, Any]
    lines: Sequence[Mapping[str, Any]]
    """One for each stretch; see `whole_stretches`."""


def start_journal(
    work: Path, output: str, identity: Mapping[str, str], begin: Mapping[str, Any]
) -> None:
    """Write the first line; it is made safe with the second."""
    header = {"format": _FORMAT, "output": output, "identity": {**identity}, "begin": {**begin}}
    (work / JOURNAL).write_text(json.dumps(header) + "\n", encoding="utf-8")


def append_stretch(work: Path, stretch: Stretch) -> None:
    """Make the files of a stretch safe on the disk, and then say so.

    Raises:
        OSError: It cannot be written.
    """
    line = {
        "files": [_secure(work, path) for path in stretch.files],
        "facts": stretch.facts,
        "state": None if stretch.state is None else _secure(work, stretch.state),
    }
    for folder in {path.parent for path in stretch.files} | {work}:
        sync_folder(folder)
    with (work / JOURNAL).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


def cut_journal(work: Path, stretches: int) -> None:
    """Keep so many stretches: what follows was cut off, or cannot be used."""
    with (work / JOURNAL).open("rb+") as file:
        for _ in range(1 + stretches):
            file.readline()
        file.truncate(file.tell())
        os.fsync(file.fileno())


def read_journal(work: Path) -> Journal | None:
    """Read what is there, up to a line that was cut off; None where it is no journal of ours."""
    try:
        text = (work / JOURNAL).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    lines: list[dict[str, Any]] = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(value, dict):
            break
        lines.append(value)
    if not lines or lines[0].get("format") != _FORMAT:
        return None
    header, *rest = lines
    with suppress(*DAMAGE):
        return Journal(
            output=Path(header["output"]).name,
            identity=dict(header["identity"]),
            begin=dict(header["begin"]),
            lines=rest,
        )
    return None


def whole_stretches(work: Path, lines: Iterable[Mapping[str, Any]]) -> list[Stretch]:
    """The stretches up to the last from which one can go on; every file is as it was written."""
    stretches: list[Stretch] = []
    usable = 0
    for line in lines:
        try:
            stretch = Stretch(
                files=tuple(checked_file(work, FileEntry(*entry)) for entry in line["files"]),
                facts=dict(line["facts"]),
                state=None if line["state"] is None else inside(work, line["state"][0]),
            )
        except DAMAGE:
            break
        stretches.append(stretch)
        with suppress(*DAMAGE):  # that of an earlier one is not kept
            if line["state"] is not None:
                checked_file(work, FileEntry(*line["state"]))
            usable = len(stretches)
    return stretches[:usable]


def find_work_folders(folder: Path) -> Iterator[Path]:
    """The work folders in a folder in which nobody works; each is locked until the next is asked
    for.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in entries if _NAME.fullmatch(entry.name)]
    except OSError:
        return  # nothing can be done here; who writes here will say so
    for name in sorted(found):
        path = folder / name
        with suppress(OSError):
            if not is_ours(path):
                continue
            descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                if lock_file(descriptor) is not False:
                    yield path
            finally:
                os.close(descriptor)


def is_ours(work: Path) -> bool:
    """Whether a path is a real folder of this user: nobody else's is written to or cleared."""
    status = work.lstat()
    return stat.S_ISDIR(status.st_mode) and (os.name == "nt" or status.st_uid == os.geteuid())


def remove_work(work: Path, unlock: Callable[[], None] = lambda: None) -> None:
    """Remove a work folder, its journal first: without it the rest is nothing."""
    with suppress(OSError):
        (work / JOURNAL).unlink()
    if os.name == "nt":
        unlock()  # Windows removes no open file
    shutil.rmtree(work, ignore_errors=True)
    unlock()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder safe; Windows does that itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checked_file(work: Path, entry: FileEntry) -> Path:
    """Give the path of a file; raises what is in `DAMAGE` where it is not as it was."""
    path = inside(work, entry.name)
    if path.stat().st_size != entry.size or _checksum(path) != entry.checksum:
        raise ValueError(entry.name)
    return path


def sync_file(path: Path) -> None:
    """Make what was written to a file safe."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _secure(work: Path, path: Path) -> FileEntry:
    sync_file(path)
    return FileEntry(path.relative_to(work).as_posix(), path.stat().st_size, _checksum(path))


def inside(work: Path, name: str) -> Path:
    """Raise `ValueError` where a name leads out of the folder, whoever wrote it."""
    parts = Path(name).parts
    if len(parts) > 2 or ".." in parts or Path(name).is_absolute():
        raise ValueError(name)
    return work / name


def _checksum(path: Path) -> int:
    """CRC-32 of a file."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value
