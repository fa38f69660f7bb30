"""What killed runs leave behind: it is finished or removed by the next run that writes there."""

from __future__ import annotations

import logging
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from refvid.errors import OutputError
from refvid.media.journal import carry_out, has_journal
from refvid.media.unfinished import find_abandoned
from refvid.media.work_journal import (
    DAMAGE,
    JOURNAL,
    find_work_folders,
    inside,
    read_journal,
)
from refvid.media.work_notes import has_files

logger = logging.getLogger(__name__)


def remove_leftovers(output: Path) -> None:
    """Clear the folder of an output of what is certainly ours and not being written.

    A sequence whose frames were being moved to their places is finished instead.
    """
    for path in find_abandoned(output.parent):
        finish_or_remove(path)
    if os.name == "posix":
        for path in _find_older(output):
            _remove(path)
    folders = {output.parent}
    if "%" in output.name:  # images: their folder may not have been there
        folders.add(output.parent.parent)
    for folder in folders:
        for path in find_work_folders(folder):
            if _is_spent(path):
                _remove(path)


def finish_or_remove(path: Path) -> None:
    """Do what is left to do with an unfinished output: it is finished, or of no use."""
    if has_journal(path):
        _finish(path)
    else:
        _remove(path)


def _finish(work: Path) -> None:
    try:
        carry_out(work)
    except OutputError as error:
        logger.warning("an interrupted run cannot be finished: %s", error)
        _remove(work)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        logger.warning("cannot finish what an interrupted run left in %s: %s", work, error)
    else:
        logger.warning("finished a sequence in %s that an interrupted run had left", work.parent)


def _is_spent(work: Path) -> bool:
    """Whether a work folder is of no use any more: its result is there, or nothing was finished."""
    journal = read_journal(work)
    if journal is None or not (journal.lines or has_files(work)):
        return True
    try:
        if journal.lines and not inside(work, journal.lines[0]["files"][0][0]).exists():
            return True  # the images are at their places
        # A result comes after its last stretch.
        result = work.parent / journal.output
        return result.stat().st_mtime_ns >= (work / JOURNAL).stat().st_mtime_ns
    except FileNotFoundError:
        return False
    except DAMAGE:
        return True


def _remove(path: Path) -> None:
    logger.info("removing %s, which an interrupted run left", path)
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _find_older(output: Path) -> list[Path]:
    """Leftovers of 0.1.0 for this output, named by the process that wrote them."""
    name = re.compile(
        rf"\.{re.escape(output.stem.replace('%', ''))}\.partial-([0-9]+){re.escape(output.suffix)}"
    )
    try:
        with os.scandir(output.parent) as entries:
            found = [
                (entry.name, match) for entry in entries if (match := name.fullmatch(entry.name))
            ]
    except OSError:
        return []
    return [output.with_name(each) for each, match in found if not _is_running(int(match[1]))]


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
