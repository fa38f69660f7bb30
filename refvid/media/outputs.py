"""Where results may go: the rules that every command checks before its work."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from refvid.errors import InputError, OptionError, OutputError
from refvid.media.partial_file import check_target
from refvid.media.sequence import find_images, is_sequence_pattern


def check_output(
    output: Path,
    inputs: Iterable[Path] = (),
    *,
    overwrite: bool,
    may_make_folder: bool = False,
) -> None:
    """Refuse an output that would replace what it is made of, or cannot or must not be written.

    Args:
        output: A file, or a pattern for images.
        inputs: What it is made of.
        overwrite: Whether it may exist.
        may_make_folder: Whether its folder may be missing.

    Raises:
        OptionError: It is one of the inputs.
        OutputError: It exists, is a folder, or has no folder to be in.
    """
    check_replaces_no([output], inputs)
    if not overwrite and output_exists(output):
        raise OutputError(
            f"{output} exists already; choose another name, or replace it with --overwrite"
        )
    if not may_make_folder or output.parent.exists():
        check_target(output, overwrite=overwrite)


def check_outputs(
    outputs: Iterable[Path],
    inputs: Iterable[Path] = (),
    *,
    overwrite: bool,
    may_make_folder: bool = False,
) -> None:
    """Do the same for all results of one run, which must also differ from each other."""
    outputs, inputs = list(outputs), list(inputs)
    if len({path_identity(output) for output in outputs}) < len(outputs):
        raise OptionError("two results would be written to one file; choose another name")
    for output in outputs:
        check_output(output, inputs, overwrite=overwrite, may_make_folder=may_make_folder)


def check_replaces_no(
    outputs: Iterable[Path], inputs: Iterable[Path], what: str = "the input"
) -> None:
    """Raise `OptionError` where a result would replace what is read, by this name or another.

    Args:
        outputs: Results.
        inputs: Files that are read.
        what: They are called.
    """
    known = {_file_id(path): path for path in inputs}
    known.pop(None, None)
    for output in outputs:
        if (same := known.get(_file_id(output))) is not None:
            raise OptionError(f"the output {output} is {what} {same}; choose another name")


def output_exists(path: Path) -> bool:
    """Whether a result, or any image of a sequence, is already there."""
    if path.exists() or not is_sequence_pattern(path):
        return path.exists()
    try:
        return bool(find_images(path))
    except InputError:
        return False


def path_identity(path: Path) -> str:
    """What two spellings of one path have in common, whether or not it exists."""
    return os.path.normcase(path.resolve())


def _file_id(path: Path) -> tuple[int, int] | None:
    # Also through symbolic links, hard links and other spellings of the name.
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)
