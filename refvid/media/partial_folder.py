"""The files of a sequence appear at their final paths together, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from refvid.media.folders import exists
from refvid.media.journal import carry_out, has_journal, write_journal
from refvid.media.leftovers import remove_leftovers
from refvid.media.partial_file import ONE_BLOCK, check_target
from refvid.media.publishing import tell_of_result
from refvid.media.unfinished import cannot_write, create_unfinished_folder, move_unfinished
from refvid.media.work_folder import WorkFolder

IMAGES: Final = "images"
"""Of a work folder, where those of a sequence wait."""


class PartialFolder:
    """A hidden folder for the files of a sequence, until all are there.

    A folder that does not exist yet then appears by one rename. Into one that exists the files are
    moved one by one; if a kill comes in between, the journal lets the next run finish it.
    """

    def __init__(
        self, output: Path, *, create_folder: bool, work: WorkFolder | None = None
    ) -> None:
        """Create it on the disk of `output`, and remove what killed runs have left there.

        Args:
            output: A pattern.
            create_folder: Whether its folder may be missing; that above it must be there.
            work: Where it lies until then; what is finished there stays. None: by itself.

        Raises:
            OutputError: It cannot be created, or the disk is full.
        """
        self._output, self._folder = output, output.parent
        folder = self._folder
        self._descriptor: int | None = None
        self._work = work
        makes_folder = create_folder and not os.path.lexists(folder)
        check_target(folder if makes_folder else output, overwrite=True)
        remove_leftovers(folder if makes_folder else output)
        try:
            if work is not None:
                self.path = work.path / IMAGES
                self.path.mkdir(exist_ok=True)
            else:
                self.path, self._descriptor = create_unfinished_folder(
                    folder.parent if makes_folder else folder
                )
        except OSError as error:
            raise cannot_write(output, error) from error
        try:
            (self.path / output.name).write_bytes(ONE_BLOCK)
            (self.path / output.name).unlink()
        except BaseException as error:
            self.discard()
            if isinstance(error, OSError):
                raise cannot_write(output, error) from error
            raise

    def publish(self, names: Sequence[str], *, overwrite: bool) -> None:
        """Move the files to their final places; an interruption waits until all are there.

        Args:
            names: Of the files.
            overwrite: Whether they replace others of their names.

        Raises:
            OutputError: The folder changed in the meantime.
            OSError: The files cannot be moved.
        """
        tell_of_result(self._output, self.path / names[0], self._folder / names[0])
        if self.path.parent != self._folder and not exists(self._folder):
            self.path.rename(self._folder)
            return
        if self._work is not None:
            # From the rename on whoever finds the journal carries it out, and not before.
            write_journal(self.path, names, folder=self._folder, overwrite=overwrite)
            self.path, self._descriptor = move_unfinished(self.path, self._folder)
        else:
            if self.path.parent != self._folder:
                self.path = self.path.rename(self._folder / self.path.name)  # it appeared meanwhile
            write_journal(self.path, names, folder=self._folder, overwrite=overwrite)
        try:
            carry_out(self.path)
        except (KeyboardInterrupt, SystemExit):
            if has_journal(self.path):
                carry_out(self.path)
            raise

    def discard(self) -> None:
        """Remove it unless its files are published or about to be. May be called twice."""
        is_kept = self._work is not None and self.path.parent == self._work.path
        if not is_kept and not has_journal(self.path):
            shutil.rmtree(self.path, ignore_errors=True)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
