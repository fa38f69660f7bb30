"""The jobs of a list from the first line to the report."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import refvid
from refvid.cli.columns import CallReader
from refvid.cli.console import Console, error_document
from refvid.cli.elsewhere import Errand, do_errands
from refvid.cli.exit_codes import batch_exit_code
from refvid.cli.jobs import Outcome
from refvid.cli.list_check import (
    Entry,
    document_of,
    examine_entries,
    read_entries,
    refuse_conflicts,
)
from refvid.cli.read_jobs import read_jobs
from refvid.distribution.places import parse_places
from refvid.distribution.shards import parse_shard
from refvid.errors import INTERRUPTED_EXIT_CODE, OptionError
from refvid.settings import load_settings
from refvid.wording import counted

if TYPE_CHECKING:
    from refvid.cli.job_lists import ListRules


def run_list(
    console: Console,
    path: Path,
    rules: ListRules,
    device: str | None,
    commands: Mapping[str, Any],
) -> int:
    """Check a list of jobs, have them done, tell of them, and give the exit code.

    Args:
        console: Where results and messages go.
        path: The list.
        rules: How it is taken.
        device: Words for devices.
        commands: Typer's objects for the commands that a list may have, by name.
    """
    console.tells_events = rules.progress == "json"
    places = parse_places(device or "auto")
    shard = None if rules.shard is None else parse_shard(rules.shard, os.environ)
    reader = CallReader(commands, load_settings())
    defaults = {
        "overwrite": rules.overwrite,
        "skip_existing": rules.skip_existing,
        "dry_run": rules.dry_run,
        "no_resume": rules.no_resume,
        "device": places[0],
    }
    rows = read_jobs(path)
    entries = read_entries(rows, lambda row: reader.read(row, defaults), console)
    refuse_conflicts(entries)
    is_bad = any(entry.problem for entry in entries)
    if shard is not None:
        entries = shard.part_of(entries)
    examine_entries(entries)
    run = _Run(console, path, entries)
    is_bad = is_bad or any(entry.problem for entry in entries)
    if is_bad and not rules.keep_going:
        run.refuse()
    elif rules.dry_run:
        run.tell_plan()
    else:
        try:
            run.do(places, rules)
        except (KeyboardInterrupt, SystemExit) as stop:
            run.stop(stop)
            raise
    return run.finish()


class _Run:
    """The jobs of a list, and what becomes of them."""

    def __init__(self, console: Console, path: Path, entries: Sequence[Entry]) -> None:
        self._console = console
        self._path = path
        self._entries = entries
        self._results: dict[int, dict[str, Any]] = {}
        self._failures: list[Exception] = []
        for number, entry in enumerate(entries):
            if entry.problem is not None:
                self._fail(number, entry.problem)
            elif entry.skipped:
                self._settle(number, {"status": "skipped", "reason": entry.skipped})
                console.note(f"{self._place(number)}: skipped: {entry.skipped}")

    def _place(self, number: int) -> str:
        return f"{self._path}:{self._entries[number].row.line}"

    def _fail(self, number: int, error: Exception) -> None:
        self._failures.append(error)
        self._settle(number, {"status": "failed", "error": error_document(error)})
        self._console.error(error, context=self._place(number))

    def _settle(self, number: int, facts: Mapping[str, Any]) -> None:
        self._results[number] = {"job": number + 1, **document_of(self._entries[number]), **facts}
        self._console.event(self._results[number]["status"], **self._results[number])

    def _ready(self) -> list[int]:
        return [number for number in range(len(self._entries)) if number not in self._results]

    def refuse(self) -> None:
        """Say that nothing begins."""
        bad = len(self._failures)
        if not bad:  # in the parts of others
            self._failures.append(OptionError("another part of this list has bad jobs"))
            self._console.error(self._failures[0], context=str(self._path))
        self._console.note("nothing was begun; --keep-going does the good jobs")

    def tell_plan(self) -> None:
        """Say what would be done."""
        for number in self._ready():
            entry = self._entries[number]
            assert entry.call is not None
            assert entry.job is not None
            self._settle(number, {"status": "planned"})
            if not self._console.json:
                words = f"{entry.call.command} {entry.job.source} -> {entry.job.output}"
                self._console.result(f"{self._place(number)}: {words}")

    def do(self, places: Sequence[str], rules: ListRules) -> None:
        """Have workers do what can be done."""
        numbers = self._ready()
        if rules.fail_fast and self._failures:
            return
        errands = [self._errand(number) for number in numbers]
        do_errands(
            self._console,
            errands,
            places,
            lambda index, outcome: self._hear(numbers[index], outcome),
            ray=rules.ray,
            is_over=lambda: rules.fail_fast and bool(self._failures),
        )

    def _errand(self, number: int) -> Errand:
        entry = self._entries[number]
        assert entry.call is not None
        assert entry.job is not None
        assert entry.task is not None
        facts = {"job": number + 1, "line": entry.row.line}
        about = entry.call.about(entry.job, len(entry.task.jobs))
        return Errand(about, entry.job, facts, entry.task.splits, entry.row.cells)

    def _hear(self, number: int, outcome: Outcome) -> None:
        assert outcome.document is not None
        self._results[number] = outcome.document
        if outcome.error is not None:
            self._failures.append(outcome.error)
            self._console.error(outcome.error, context=self._place(number))
        elif not (outcome.skipped or self._console.json):
            self._console.result_path(outcome.job.output)

    def finish(self) -> int:
        """Print what became of all, and give the exit code."""
        code = batch_exit_code(self._failures)
        self._tell_all("not begun", code)
        return code

    def stop(self, stop: KeyboardInterrupt | SystemExit) -> None:
        """Print what became of all until a signal came: the rest can be done from that."""
        code = int(stop.code or 0) if isinstance(stop, SystemExit) else INTERRUPTED_EXIT_CODE
        self._tell_all("not done", code)

    def _tell_all(self, rest: str, code: int) -> None:
        for number in self._ready():
            self._results[number] = {
                "job": number + 1,
                **document_of(self._entries[number]),
                "status": rest,
            }
        results = [self._results[number] for number in range(len(self._entries))]
        counts = Counter(result["status"] for result in results)
        self._console.event("summary", jobs=len(results), **counts, exit_code=code)
        if not self._console.tells_events:
            words = ", ".join(f"{count} {status}" for status, count in counts.items())
            words = f"{counted(len(results), 'job')}: {words}"
            self._console.note(words if results else f"{self._path}: there are no jobs to do")
        if self._console.json:
            self._console.result_json(
                {"refvid": refvid.__version__, "results": results, "exit_code": code}
            )
