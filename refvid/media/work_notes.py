"""Notes in a work folder: what a run has found out or made ahead of the stretches.

They stand in a file of their own beside the journal, a line each, and are of use only to a run that
goes on. A note may have a file, which counts only as it was when the note was made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from refvid.media.work_journal import DAMAGE, FileEntry, checked_file, inside, sync_folder

NOTES: Final = "notes.jsonl"


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know when the work goes on."""

    facts: Mapping[str, Any]
    """In plain JSON types."""

    file: FileEntry | None = None
    """What belongs to it."""


def append_note(work: Path, note: Note) -> None:
    """Write a note down, safe on the disk; its file is that already.

    Raises:
        OSError: It cannot be written.
    """
    _write(work, "a", [note])


def replace_notes(work: Path, notes: Iterable[Note]) -> None:
    """Keep these notes only: after them a line may have been cut off.

    Raises:
        OSError: They cannot be written; what was noted may be lost.
    """
    _write(work, "w", notes)


def read_notes(work: Path) -> list[Note]:
    """All notes whose files are as they were."""
    return [note for note in _load(work) if _is_whole(work, note)]


def has_files(work: Path) -> bool:
    """Whether a note has a file that is there, as it was or not."""
    files = [note.file for note in _load(work) if note.file is not None]
    return any(inside(work, file.name).exists() for file in files)


def _is_whole(work: Path, note: Note) -> bool:
    try:
        return note.file is None or checked_file(work, note.file).exists()
    except DAMAGE:
        return False


def _load(work: Path) -> Iterator[Note]:
    try:
        text = (work / NOTES).read_text(encoding="ascii")
    except (OSError, ValueError):
        return
    for line in text.splitlines():
        with suppress(*DAMAGE, RecursionError):
            value = json.loads(line)
            file = None if value["file"] is None else FileEntry(*value["file"])
            if file is not None:
                inside(work, file.name)
            yield Note(dict(value["facts"]), file)


def _write(work: Path, mode: str, notes: Iterable[Note]) -> None:
    with (work / NOTES).open(mode, encoding="ascii") as file:
        for note in notes:
            file.write(json.dumps({"facts": note.facts, "file": note.file}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(work)
