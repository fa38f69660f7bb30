"""A list of jobs, looked at as a whole before the first of them begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refvid.cli.console import Console
from refvid.cli.file_errors import named_error
from refvid.cli.jobs import Outcome, examine, job_names
from refvid.cli.read_jobs import Row
from refvid.cli.remote import find_command
from refvid.cli.task import Call, Task, understand
from refvid.errors import OptionError, RefvidError

if TYPE_CHECKING:
    from refvid.media.inputs import Job


@dataclass(slots=True)
class Entry:
    """One job of a list."""

    row: Row
    call: Call | None = None
    task: Task | None = None
    job: Job | None = None
    problem: Exception | None = None
    """Why it cannot run."""

    skipped: str = ""
    """Why there is nothing to do."""


def read_entries(rows: Iterable[Row], read: Callable[[Row], Call], console: Console) -> list[Entry]:
    """Understand all rows; an input that stands for several, such as a folder, gives as many."""
    return [entry for row in rows for entry in _read_entries(row, read, console)]


def _read_entries(row: Row, read: Callable[[Row], Call], console: Console) -> list[Entry]:
    try:
        call = read(row)
        with ExitStack() as stack:  # jobs of lists read and write no pipes
            task = understand(find_command(call.command), call.values, console, stack)
    except (RefvidError, OSError) as error:
        return [Entry(row, problem=named_error(error))]
    return [Entry(row, call, task, job) for job in task.jobs]


def refuse_conflicts(entries: Sequence[Entry]) -> None:
    """Find results that replace each other, or what another job reads."""
    from refvid.media.outputs import existing_files, path_identity, read_files

    taken: dict[str, Entry] = {}
    existing: dict[int, set[tuple[int, int]]] = {}
    for number, entry in enumerate(entries):
        if entry.job is None:
            continue
        output = entry.job.output
        other = taken.setdefault(path_identity(output), entry)
        if other is not entry:
            entry.problem = OptionError(f"{output} is also the result of line {other.row.line}")
        if found := existing_files(output):
            existing[number] = found
    if not existing:
        return
    # What does not exist replaces nothing. Of itself, each command has looked.
    read = read_files({path for entry in entries for path in _reads(entry)})
    for number, found in existing.items():
        if found & read:
            entry = entries[number]
            entry.problem = OptionError(f"the output {_output(entry)} is read by another job")


def _reads(entry: Entry) -> list[Path]:
    if entry.job is None or entry.task is None:
        return []
    return [entry.job.source, *entry.task.reads]


def _output(entry: Entry) -> str:
    return "" if entry.job is None else str(entry.job.output)


def examine_entries(entries: Sequence[Entry]) -> None:
    """Find the jobs that need not or cannot run, as every command does with its own."""
    cleared: set[Path] = set()
    for entry in entries:
        if entry.problem is not None or entry.job is None or entry.task is None:
            continue
        task = entry.task
        found = examine(entry.job, cleared, task.rules, task.check, task.find_existing)
        if isinstance(found, Outcome):
            entry.problem, entry.skipped = found.error, found.skipped
        else:
            entry.job = found


def document_of(entry: Entry) -> Mapping[str, Any]:
    """A job as results and events show it, before anything is known of it."""
    job = entry.job
    names = {} if job is None else job_names(job)
    return {"line": entry.row.line, "row": dict(entry.row.cells), **names}
