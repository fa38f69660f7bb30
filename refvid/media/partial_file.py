"""Outputs appear at their final path only when they are whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from refvid.errors import OutputError
from refvid.media.folders import is_folder, may
from refvid.media.leftovers import remove_leftovers
from refvid.media.publishing import tell_of_result
from refvid.media.unfinished import cannot_write, create_unfinished_file

ONE_BLOCK: Final = bytes(4096)
"""Where not even this can be written, the disk is full: better known before the work than after."""


def check_target(output: Path, *, overwrite: bool) -> None:
    """Refuse an output that cannot or must not be written, without touching the disk.

    Raises:
        OutputError: It exists and `overwrite` is off, is a folder, has a name that is not
            possible, or has no folder to be in, or one that may not be written to.
    """
    if is_folder(output):
        raise OutputError(f"Cannot write {output}: it is a folder. Give a file name.")
    if not is_folder(output.parent):
        raise OutputError(
            f"Cannot write {output}: the folder {output.parent} does not exist. Create it first."
        )
    try:
        output.lstat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # ValueError: a zero byte
        raise cannot_write(output, error) from error
    else:
        if not overwrite:
            raise OutputError(f"{output} exists already. Choose another name or allow overwriting.")
    check_folder(output.parent)


def check_folder(folder: Path) -> None:
    """Raise `OutputError` where nothing can be created in a folder."""
    if not is_folder(folder):
        raise OutputError(f"{folder} is not a folder. Choose another one.")
    if not may(folder, os.W_OK | os.X_OK):
        raise OutputError(f"No permission to write to the folder {folder}. Choose another one.")


class PartialFile:
    """A file beside its output, under a random name, until it is whole.

    It exists from the beginning, so that an output that cannot be written is known before the work.
    """

    def __init__(self, output: Path, *, overwrite: bool) -> None:
        """Create it, and remove what killed runs have left in its folder.

        Raises:
            OutputError: The output cannot be written, see `check_target`; or the disk is full.
        """
        check_target(output, overwrite=overwrite)
        remove_leftovers(output)
        self._output = output
        self._overwrite = overwrite
        try:
            self.path, self._descriptor = create_unfinished_file(output.parent, output.suffix)
        except OSError as error:
            raise cannot_write(output, error) from error
        try:
            _check_space(self._descriptor)
        except BaseException as error:
            self.discard()
            if isinstance(error, OSError):
                raise cannot_write(output, error) from error
            raise

    def rewrite(self, rewrite: Callable[[Path, Path], None]) -> None:
        """Put another file in its place, made from it.

        Args:
            rewrite: Reads the first file and writes the second, which exists and is empty.

        Raises:
            OutputError: The disk is full, or what `rewrite` raises.
        """
        other = PartialFile(self._output, overwrite=self._overwrite)
        try:
            rewrite(self.path, other.path)
        except BaseException as error:
            other.discard()
            if isinstance(error, OSError):
                raise cannot_write(self._output, error) from error
            raise
        self.discard()
        self.path, self._descriptor = other.path, other._descriptor

    def publish(self) -> None:
        """Give the finished file its final name.

        Raises:
            OutputError: The target appeared in the meantime, or the rename failed.
        """
        check_target(self._output, overwrite=self._overwrite)
        if os.name == "nt":
            self._unlock()  # Windows renames no open file
        try:
            tell_of_result(self._output, self.path, self._output)
            self.path.replace(self._output)
        except OSError as error:
            raise cannot_write(self._output, error) from error

    def discard(self) -> None:
        """Remove it unless it was published. May be called twice."""
        if os.name == "nt":
            self._unlock()
        # An undeletable leftover must not hide the first error.
        with suppress(OSError):
            self.path.unlink()
        self._unlock()

    def _unlock(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def partial_file(output: Path, *, overwrite: bool) -> Iterator[Path]:
    """Write a file under a temporary name; rename it on success, remove it on any error.

    Raises:
        OutputError: The target cannot be written.
    """
    partial = PartialFile(output, overwrite=overwrite)
    try:
        yield partial.path
        partial.publish()
    except OSError as error:
        raise cannot_write(output, error) from error
    finally:
        partial.discard()


def _check_space(descriptor: int) -> None:
    """Raise `OSError` where not even one block can be written."""
    left = len(ONE_BLOCK)
    while left:
        left -= os.write(descriptor, ONE_BLOCK[:left])
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
