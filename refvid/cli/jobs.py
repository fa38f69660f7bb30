"""Taking inputs through a workflow: what the commands that write files have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import refvid
from refvid.cli.console import Console, error_document, format_bytes, format_duration
from refvid.cli.exit_codes import batch_exit_code

if TYPE_CHECKING:
    from refvid.workflows.batch import Job, Outcome

RunJob = Callable[["Job"], Any]
"""Gives a job's plan or report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """How the jobs of one run of the program are taken through."""

    console: Console
    jobs: Sequence[Job]
    plan_text: Callable[[Any], str]
    """A plan for people."""

    check: Callable[[Path], None] | None = None
    """Raises `InputError` for a source that is not there; None is for videos."""

    overwrite: bool = False
    skip_existing: bool = False
    fail_fast: bool = False
    dry_run: bool = False

    def run(self, start: Callable[[Sequence[Job]], RunJob]) -> int:
        """Run or plan the jobs, print what became of them, and give the exit code.

        Args:
            start: Called once with the jobs that can run, if there are any: loads the model.
        """
        from refvid.workflows.batch import check_source, run_batch, triage

        jobs, console = self.jobs, self.console
        ready, outcomes = triage(
            jobs,
            overwrite=self.overwrite,
            skip_existing=self.skip_existing,
            check=self.check or check_source,
        )
        for outcome in outcomes:
            self._tell(outcome)
        if ready and not (self.fail_fast and any(outcome.error for outcome in outcomes)):
            run = start(ready)
            for outcome in run_batch(
                ready, run, fail_fast=self.fail_fast, make_folders=not self.dry_run
            ):
                outcomes.append(outcome)
                self._tell(outcome)
                if outcome.report is not None and not console.json:
                    console.result(
                        self.plan_text(outcome.report) if self.dry_run else str(outcome.job.output)
                    )
        code = batch_exit_code(outcome.error for outcome in outcomes if outcome.error)
        if console.json:
            outcomes.sort(key=lambda outcome: jobs.index(outcome.job))
            console.result_json(self._document(outcomes, code))
        elif len(jobs) > 1:
            console.note(_summary(outcomes, len(jobs)))
        return code

    def _tell(self, outcome: Outcome[Any]) -> None:
        """One job's fate on stderr."""
        job, report, console = outcome.job, outcome.report, self.console
        if outcome.skipped:
            console.note(f"skipped {job.source}: {job.output} exists")
        elif outcome.error is not None:
            context = str(job.source) if len(self.jobs) > 1 else ""
            console.error(outcome.error, context=context)
        elif report is not None and hasattr(report, "bytes_written"):  # else a plan
            speed = report.frames / report.seconds if report.seconds > 0 else 0.0
            digits = 1 if speed >= 1 else 3
            console.note(
                f"{job.source.name}: {report.frames} frames in {format_duration(report.seconds)} "
                f"({speed:.{digits}f} frames/s), {format_bytes(report.bytes_written)}"
            )
            for note in report.plan.notes:
                console.note(f"note: {note}")

    def _document(self, outcomes: Sequence[Outcome[Any]], exit_code: int) -> dict[str, Any]:
        """The one JSON object of a run."""
        results = []
        for outcome in outcomes:
            is_planned = self.dry_run and outcome.status == "done"
            result: dict[str, Any] = {
                "input": str(outcome.job.source),
                "output": str(outcome.job.output),
                "status": "planned" if is_planned else outcome.status,
            }
            if outcome.report is not None:
                result["plan" if self.dry_run else "report"] = outcome.report.to_json()
            if outcome.error is not None:
                result["error"] = error_document(outcome.error)
            results.append(result)
        return {"refvid": refvid.__version__, "results": results, "exit_code": exit_code}


def facts_text(facts: dict[str, object], notes: Sequence[str]) -> str:
    """A plan as aligned lines, one fact each."""
    lines = [f"{name + ':':<11}{value}" for name, value in facts.items()]
    return "\n".join([*lines, *(f"{'note:':<11}{note}" for note in notes)])


def results_folder(output: str | None) -> Path | None:
    """A folder that holds results: recursion does not look into it for inputs."""
    return None if output is None or "{" in output else Path(output)


def _summary(outcomes: Sequence[Outcome[Any]], total: int) -> str:
    counts = Counter(outcome.status for outcome in outcomes)
    parts = [f"{counts[word]} {word}" for word in ("done", "skipped", "failed") if counts[word]]
    if left := total - len(outcomes):
        parts.append(f"{left} not begun")
    return f"{total} inputs: {', '.join(parts)}"
