"""Moving many files into a folder, so that a kill in between leaves neither half nor nothing.

No system moves several files at once. So a journal is written first, beside the files: which there
are, and what they replace. From then on the move counts as decided, and whoever finds the journal
carries it out.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from refvid.errors import OutputError

_JOURNAL: Final = "journal.json"

State = list[int] | None
"""Size and time of change of a file; None where there is none."""


def write_journal(work: Path, names: Sequence[str], *, folder: Path, overwrite: bool) -> None:
    """Decide that files of `work` go to the folder around it.

    Args:
        work: The folder of the files, and of the journal.
        names: Of the files.
        folder: That around it; where it lies elsewhere, nothing is decided before it is moved.
        overwrite: Whether they replace what is there now; else nothing is.

    Raises:
        OSError: It cannot be written; then nothing is decided.
    """
    moves = {
        name: [_state(work / name), _state(folder / name) if overwrite else None] for name in names
    }
    draft = work / f"{_JOURNAL}.draft"
    draft.write_text(json.dumps(moves), encoding="utf-8")
    draft.replace(work / _JOURNAL)


def has_journal(work: Path) -> bool:
    """Whether a move is decided, and not done."""
    return (work / _JOURNAL).exists()


def carry_out(work: Path) -> None:
    """Do what the journal says, or the rest of it, and remove it with its folder.

    Raises:
        OutputError: The folder has changed since: somebody's file would be lost, or there would be
            a part of the files only. Nothing is moved.
        OSError: A file cannot be moved; trying again is fine.
    """
    folder = work.parent
    waiting = []
    for name, (new, old) in _read(work).items():
        there = _state(folder / name)
        if there == new:
            continue  # moved already
        if there != old or _state(work / name) != new:
            raise OutputError(
                f"{folder / name} has changed while a sequence was written to {folder}: the "
                "sequence is not there. Run again."
            )
        waiting.append(name)
    for name in waiting:
        (work / name).replace(folder / name)
    shutil.rmtree(work)


def _read(work: Path) -> dict[str, tuple[State, State]]:
    moves: Any = json.loads((work / _JOURNAL).read_text(encoding="utf-8"))
    # Only into the folder around it, whoever wrote this.
    return {Path(name).name: (new, old) for name, (new, old) in moves.items()}


def _state(path: Path) -> State:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return [status.st_size, status.st_mtime_ns]
