"""Where results may go: the rules that every command checks before its work."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from refvid.errors import InputError, OptionError, OutputError
from refvid.media.folders import exists, is_folder, list_files
from refvid.media.partial_file import PartialFile, check_folder, check_target
from refvid.media.sequence import (
    find_images,
    is_pattern,
    is_sequence_pattern,
    numbered_path,
    split_pattern,
)


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
    if not may_make_folder or exists(output.parent):
        check_target(output, overwrite=overwrite)
    else:
        above = output.parent.parents
        check_folder(next((folder for folder in above if exists(folder)), Path()))


def check_outputs(
    outputs: Iterable[Path],
    inputs: Iterable[Path] = (),
    *,
    overwrite: bool,
    may_make_folder: bool = False,
) -> None:
    """Do the same for all results of one run, which must also differ from each other.

    Their unfinished files are created, and removed again: what would fail after the work fails now.
    """
    outputs, inputs = list(outputs), list(inputs)
    if len({path_identity(output) for output in outputs}) < len(outputs):
        raise OptionError("two results would be written to one file; choose another name")
    for output in outputs:
        check_output(output, inputs, overwrite=overwrite, may_make_folder=may_make_folder)
        if is_folder(output.parent):
            PartialFile(output, overwrite=overwrite).discard()


def check_replaces_no(
    outputs: Iterable[Path], inputs: Iterable[Path], what: str = "the input"
) -> None:
    """Raise `OptionError` where a result would replace what is read, by this name or another.

    Args:
        outputs: Results; a pattern for images stands for all that match it.
        inputs: Files that are read; a folder or a pattern stands for all its files.
        what: They are called.
    """
    replaced = {identity: output for output in outputs for identity in existing_files(output)}
    if not replaced:
        return
    for path in inputs:
        for file in _files_of(path):
            identity = _file_id(file)
            if identity is not None and identity in replaced:
                raise OptionError(
                    f"the output {replaced[identity]} is {what} {file}; choose another name"
                )


def existing_files(output: Path) -> set[tuple[int, int]]:
    """Device and number of the files that stand where a result goes, whatever their names are."""
    ids = {_file_id(path) for path in _targets(output)}
    return {identity for identity in ids if identity is not None}


def read_files(inputs: Iterable[Path]) -> set[tuple[int, int]]:
    """Device and number of files that are read; a folder or a pattern stands for all its files."""
    ids = {_file_id(file) for path in inputs for file in _files_of(path)}
    return {identity for identity in ids if identity is not None}


def _targets(output: Path) -> set[Path]:
    """The paths that a result may be written to, as far as there is something."""
    if not is_pattern(output):
        return {output}
    # Many file systems take names that differ in case or in the form of accents as one.
    before, after = (_plain(part) for part in split_pattern(output))
    targets = {output}
    for plain in _plain_names(output.parent):
        number = plain[len(before) : len(plain) - len(after)]
        if plain.startswith(before) and plain.endswith(after) and number.isdecimal():
            targets.add(numbered_path(output, int(number)))
    return targets


def _files_of(path: Path) -> list[Path]:
    try:
        if is_folder(path):
            return list_files(path)
        if is_sequence_pattern(path):
            return [image.path for image in find_images(path)]
    except InputError:
        pass  # its own job will say what is wrong
    return [path]


def _plain_names(folder: Path) -> list[str]:
    try:
        return [_plain(path.name) for path in folder.iterdir()]
    except OSError:
        return []


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def output_exists(path: Path) -> bool:
    """Whether a result, or any image of a sequence, is already there."""
    if exists(path) or not is_sequence_pattern(path):
        return exists(path)
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
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino)
