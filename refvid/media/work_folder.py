"""What is finished of a long result, kept so that the same command goes on after a kill.

A result grows in stretches. The files of each lie in one hidden folder beside the output, which is
called after it: `.refvid-resume-HHHHHHHHHHHHHHHH`. A stretch counts once the journal says so, and
that is after everything of it is safe on the disk; its files are checked before they are used.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from refvid.errors import OutputError
from refvid.media.folders import exists
from refvid.media.sequence import is_pattern
from refvid.media.unfinished import cannot_write, lock_file
from refvid.media.work_journal import (
    JOURNAL,
    LOCK,
    PREFIX,
    Journal,
    Stretch,
    append_stretch,
    cut_journal,
    find_work_folders,
    is_ours,
    read_journal,
    remove_work,
    start_journal,
    sync_file,
    sync_folder,
    whole_stretches,
)
from refvid.media.work_notes import NOTES, Note, append_note, has_files, read_notes, replace_notes

logger = logging.getLogger(__name__)

_PATIENCE_S: Final = 2.0
_LOOK_AGAIN_S: Final = 0.05


def work_folder_of(output: Path) -> Path:
    """Where the work on an output lies: beside it, or beside its folder where that is to come."""
    folder, name = output.parent, output.name
    if is_pattern(output) and not exists(folder):
        folder, name = folder.parent, f"{folder.name}/{name}"
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()
    return folder / f"{PREFIX}{digest[:16]}"


def forget_work(output: Path) -> None:
    """Remove what an interrupted run has left of an output, unless somebody works there."""
    work = work_folder_of(output)
    for path in find_work_folders(work.parent):
        if path == work:
            remove_work(path)


class WorkFolder:
    """The folder of one output, while this process works on it; use it as a context manager.

    Where the work fails or is interrupted after a stretch was finished, it stays; else, and after
    `finish`, it is removed.

    Args:
        output: Where the result goes.
        identity: What it depends on, by names that a user understands. What is there of another
            work is removed, and said.
        begin: What the work begins with, in plain JSON types.

    Entering it raises:
        OutputError: Another process works there, or nothing can be written.
    """

    def __init__(
        self,
        output: Path,
        identity: Mapping[str, str],
        begin: Mapping[str, Any],
    ) -> None:
        self.output = output
        self.path = work_folder_of(output)
        self.begin = begin
        """What it began with: where it is gone on with, that of the interrupted run."""

        self.goes_on = False
        """Whether an interrupted run has begun it."""

        self._identity = identity
        self._stretches: list[Stretch] = []
        self._notes: list[Note] = []
        self._is_durable = self._is_finished = False
        self._lock = -1

    @property
    def stretches(self) -> Sequence[Stretch]:
        """What is finished, in order."""
        return self._stretches

    @property
    def notes(self) -> Sequence[Note]:
        """What is noted."""
        return self._notes

    @property
    def is_worth_keeping(self) -> bool:
        """Whether there is work in it that need not be done again."""
        return bool(self._stretches) or any(note.file is not None for note in self._notes)

    def file(self, kind: str) -> Path:
        """The path for a file of the stretch to come, e.g. `file("packets")`."""
        return self.path / f"{len(self._stretches):06d}.{kind}"

    def commit(self, stretch: Stretch) -> None:
        """Finish a stretch: when this returns, a power cut does not take it away.

        Raises:
            OutputError: It cannot be written. The stretches before are as they were.
        """
        try:
            append_stretch(self.path, stretch)
            self._make_durable()
            before = self._stretches[-1].state if self._stretches else None
            self._stretches.append(stretch)
            if before is not None:
                before.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.output, error) from error

    def note(self, note: Note) -> None:
        """Note something for a run that goes on; safe as a stretch is.

        Raises:
            OutputError: It cannot be written.
        """
        try:
            append_note(self.path, note)
            self._make_durable()
        except OSError as error:
            raise cannot_write(self.output, error) from error
        self._notes.append(note)

    def _make_durable(self) -> None:
        if not self._is_durable:
            sync_file(self.path / JOURNAL)
            sync_folder(self.path.parent)
            self._is_durable = True

    def finish(self) -> None:
        """Note that the result is there."""
        self._is_finished = True

    def __enter__(self) -> Self:
        try:
            self._lock = self._take()
            journal = read_journal(self.path)
            if journal is not None and self._fits(journal):
                self._go_on(journal)
            if not self.is_worth_keeping:
                self._clear(set())
                start_journal(self.path, self.output.name, self._identity, self.begin)
        except BaseException as error:
            self._leave()
            if isinstance(error, OSError):
                raise cannot_write(self.output, error) from error
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()
        if error is not None and self.is_worth_keeping:
            logger.warning(
                "%s: what is finished of it is kept: the same command goes on there", self.output
            )

    def _leave(self) -> None:
        if self._lock < 0:
            with suppress(OSError):
                self.path.rmdir()  # only if it is empty
        elif self._is_finished or not self.is_worth_keeping:
            remove_work(self.path, self._unlock)
        else:
            self._unlock()

    def _take(self) -> int:
        """Make the folder, and lock it."""
        ends = time.monotonic() + _PATIENCE_S
        while True:
            self.path.mkdir(exist_ok=True)
            if not is_ours(self.path):
                raise OutputError(f"{self.path} is in the way of {self.output}. Remove it.")
            try:
                descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:
                continue  # whoever finished there has just removed the folder
            if lock_file(descriptor) is False:
                os.close(descriptor)
                if time.monotonic() < ends:  # somebody may only be looking
                    time.sleep(_LOOK_AGAIN_S)
                    continue
                raise OutputError(
                    f"Another run is writing {self.output}. Wait for its end, or choose another "
                    "name."
                )
            with suppress(OSError):
                if os.path.samestat(os.fstat(descriptor), (self.path / LOCK).stat()):
                    return descriptor
            os.close(descriptor)

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _fits(self, journal: Journal) -> bool:
        """Whether what is there is of the same work; if not, that is said."""
        before, identity = journal.identity, self._identity
        names = dict.fromkeys((*identity, *before))
        changed = [name for name in names if before.get(name) != identity.get(name)]
        if changed and (journal.lines or has_files(self.path)):
            logger.warning(
                "%s: starting anew, as the interrupted run had another %s",
                self.output,
                ", ".join(changed),
            )
        return not changed

    def _go_on(self, journal: Journal) -> None:
        stretches = whole_stretches(self.path, journal.lines)
        if len(stretches) < len(journal.lines):
            logger.warning(
                "%s: of %d stretches that an interrupted run had finished, %d can be used",
                self.output,
                len(journal.lines),
                len(stretches),
            )
        self._stretches, self._notes = stretches, read_notes(self.path)
        if not self.is_worth_keeping:
            self._notes = []
            return
        self.begin, self.goes_on = journal.begin, True
        cut_journal(self.path, len(stretches))
        replace_notes(self.path, self._notes)
        used = {self.path / JOURNAL, self.path / NOTES}
        used |= {file for stretch in stretches for file in stretch.files}
        used |= {self.path / note.file.name for note in self._notes if note.file is not None}
        last = stretches[-1].state if stretches else None
        self._clear(used if last is None else {*used, last})

    def _clear(self, used: set[Path]) -> None:
        """Remove what belongs to no finished stretch."""
        for path in [*self.path.iterdir()]:
            files = [*path.iterdir()] if path.is_dir() and not path.is_symlink() else [path]
            for file in files:
                if file not in used and file != self.path / LOCK:
                    file.unlink()
