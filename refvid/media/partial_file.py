"""Outputs appear at their final path only when they are whole."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from refvid.errors import OutputError


def check_target(output: Path, *, overwrite: bool) -> None:
    """Refuse an output that cannot or must not be written.

    Raises:
        OutputError: It exists and `overwrite` is off, is a folder, or has no folder to be in.
    """
    if output.is_dir():
        raise OutputError(f"Cannot write {output}: it is a folder. Give a file name.")
    if not output.parent.is_dir():
        raise OutputError(
            f"Cannot write {output}: the folder {output.parent} does not exist. Create it first."
        )
    if not overwrite and os.path.lexists(output):
        raise OutputError(f"{output} exists already. Choose another name or allow overwriting.")


def partial_path(output: Path) -> Path:
    """Return the name under which `output` is written until it is whole."""
    # Same folder, so that the rename stays on one file system; same suffix, for tools that look.
    # Of the name itself only a mark: it may be as long as a name can be.
    mark = f"{zlib.crc32(os.fsencode(output.name)):08x}"
    return output.with_name(f".{mark}.partial-{os.getpid()}{output.suffix[:16]}")


def publish(partial: Path, output: Path, *, overwrite: bool) -> None:
    """Give a finished file its final name.

    Raises:
        OutputError: The target appeared in the meantime, or the rename failed.
    """
    check_target(output, overwrite=overwrite)
    try:
        partial.replace(output)
    except OSError as error:
        raise OutputError(f"Cannot rename {partial} to {output}: {error.strerror}.") from error


@contextmanager
def partial_file(output: Path, *, overwrite: bool) -> Iterator[Path]:
    """Write a file under a temporary name; rename it on success, remove it on any error.

    Raises:
        OutputError: The target cannot be written.
    """
    check_target(output, overwrite=overwrite)
    partial = partial_path(output)
    try:
        yield partial
        publish(partial, output, overwrite=overwrite)
    except OSError as error:
        raise OutputError(f"Cannot write {output}: {error.strerror or error}.") from error
    finally:
        remove_quietly(partial)


def remove_quietly(path: Path) -> None:
    """Delete a file if it is there; an undeletable leftover must not hide the first error."""
    with suppress(OSError):
        path.unlink()
