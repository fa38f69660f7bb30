"""Taking inputs through a command: which jobs can run, and what becomes of each."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import refvid
from refvid.cli.console import Console, error_document
from refvid.cli.exit_codes import batch_exit_code
from refvid.cli.file_errors import named_error
from refvid.cli.flags import BatchRules
from refvid.cli.jobs import Outcome, job_names, triage
from refvid.cli.readable import format_bytes, format_duration
from refvid.cli.signals import check_stopped
from refvid.distribution.shards import parse_shard
from refvid.errors import OutputError
from refvid.wording import counted

if TYPE_CHECKING:
    from refvid.media.inputs import Job
    from refvid.rebuild.existing import Existing
    from refvid.rebuild.plan import Plan


class Batch:
    """The jobs of one run of the program.

        batch = Batch(console, rules, jobs)
        if batch.ready:
            ...  # load the model
            for job in batch:
                with batch.attempt(job) as outcome:
                    outcome.report = ...
        raise typer.Exit(batch.finish())

    Args:
        console: Where results and messages go.
        rules: What the user wants of the batch.
        jobs: All of them.
        check: Raises `InputError` for a source that is not there; None is for videos.
        find_existing: Looks at what stands where a result would go; None takes whatever is there
            for the result.
    """

    def __init__(
        self,
        console: Console,
        rules: BatchRules,
        jobs: Sequence[Job],
        check: Callable[[Path], None] | None = None,
        find_existing: Callable[[Job], Existing | None] | None = None,
    ) -> None:
        self._console = console
        self._rules = rules
        if rules.shard is not None:
            jobs = parse_shard(rules.shard, os.environ).part_of(jobs)
        self._jobs = jobs
        self._written: set[tuple[int, int]] = set()
        self.ready, self.outcomes = triage(jobs, rules, check, find_existing)
        """The jobs that can run."""

        for outcome in self.outcomes:
            self._tell(outcome)
        for job in self.ready:
            if job.replaces:
                console.note(f"{job.source} is done again: {job.replaces}")
        if self.is_over:
            self.ready = []

    @property
    def is_over(self) -> bool:
        """Whether a failure has ended the batch."""
        return self._rules.fail_fast and any(outcome.error for outcome in self.outcomes)

    def __iter__(self) -> Iterator[Job]:
        """The jobs that can run, up to the first failure if that ends them."""
        for job in self.ready:
            check_stopped()
            try:
                self.prepare(job)
            except OutputError as error:
                self.add(Outcome(job=job, error=error))
            else:
                self._console.event("start", **job_names(job))
                yield job
            if self.is_over:
                return

    def prepare(self, job: Job) -> None:
        """Make the folder of a result, and raise `OutputError` where there is no place for it."""
        from refvid.media.outputs import existing_files
        from refvid.media.sequence import is_pattern

        if self._written & existing_files(job.output):
            raise OutputError(
                f"{job.output} is the result of another input: their names are the same to this "
                "disk; choose another name"
            )
        if job.create_folder and not self._rules.dry_run:
            # The folder of a sequence comes with it, when it is whole.
            is_sequence = is_pattern(job.output)
            _make_folder(job.output.parent.parent if is_sequence else job.output.parent)

    @contextmanager
    def attempt(self, job: Job) -> Iterator[Outcome]:
        """Do one job: a failure becomes its outcome, and does not stop the rest."""
        from refvid.media.outputs import existing_files

        outcome = Outcome(job=job)
        try:
            yield outcome
        except Exception as error:  # noqa: BLE001 -- one bad file must not cost the others
            check_stopped()
            outcome.error, outcome.report = named_error(error, job.output), None
        else:
            self._written |= existing_files(job.output)
        self.add(outcome)

    def add(self, outcome: Outcome) -> None:
        """Take note of what became of a job, and tell it."""
        self.outcomes.append(outcome)
        self._tell(outcome)

    def finish(self) -> int:
        """Print what became of all, and give the exit code."""
        outcomes, total = self.outcomes, len(self._jobs)
        code = batch_exit_code(outcome.error for outcome in outcomes if outcome.error)
        if self._console.json:
            order = {job.source: number for number, job in enumerate(self._jobs)}
            outcomes.sort(key=lambda outcome: order[outcome.job.source])
            results = [self._document(outcome) for outcome in outcomes]
            self._console.result_json(
                {"refvid": refvid.__version__, "results": results, "exit_code": code}
            )
        elif total > 1:
            counts = Counter(outcome.status for outcome in outcomes)
            parts = [
                f"{counts[word]} {word}" for word in ("done", "skipped", "failed") if counts[word]
            ]
            if left := total - len(outcomes):
                parts.append(f"{left} not begun")
            self._console.note(f"{total} inputs: {', '.join(parts)}")
        return code

    def _tell(self, outcome: Outcome) -> None:
        """One job's fate on stderr, and its result on stdout."""
        job, report, console = outcome.job, outcome.report, self._console
        if outcome.document is None:  # else it was told when it came
            console.event(outcome.status, **self._document(outcome))
        if outcome.skipped:
            console.note(f"skipped {job.source}: {outcome.skipped}")
        elif outcome.error is not None:
            context = str(job.source) if len(self._jobs) > 1 else ""
            console.error(outcome.error, context=context)
        elif self._rules.dry_run:
            if report is not None and not console.json:
                console.result(*plan_lines(report))
        elif report is not None:
            _tell_speed(console, job, report)
            if not console.json:
                console.result_path(job.output)
        elif not console.json:
            console.result_path(job.output)

    def _document(self, outcome: Outcome) -> dict[str, Any]:
        if outcome.document is not None:
            return outcome.document
        is_planned = self._rules.dry_run and outcome.status == "done"
        result: dict[str, Any] = {
            **job_names(outcome.job),
            "status": "planned" if is_planned else outcome.status,
        }
        if outcome.report is not None:
            result["plan" if self._rules.dry_run else "report"] = outcome.report.to_json()
        if reason := outcome.skipped or outcome.job.replaces:
            result["reason"] = reason
        if outcome.error is not None:
            result["error"] = error_document(outcome.error)
        return result


def plan_lines(plan: Any) -> list[str]:
    """A plan as aligned lines, one fact each."""
    chunks = "?" if plan.chunks is None else plan.chunks
    facts: dict[str, object] = {"input": plan.source, "output": plan.output}
    if plan.latents is not None:
        facts |= decisions(plan)
    facts["frames"] = "unknown" if plan.frames is None else plan.frames
    facts["size"] = f"{plan.width}x{plan.height}"
    if plan.kind == "encode":
        facts["rate"] = plan.frame_rate or "unknown"
    else:
        facts["reference"] = plan.reference
    facts["model"] = f"{plan.model} ({plan.model_reason})"
    if plan.memory_bytes:  # else no model takes part
        facts["device"] = f"{plan.device}, {plan.dtype}"
        facts["chunks"] = f"{chunks} of {counted(plan.chunk, 'frame')}"
        if plan.kind != "encode":
            facts["tile"] = "off" if plan.tile is None else f"{plan.tile} pixels"
        facts["memory"] = f"about {format_bytes(plan.memory_bytes)}"
    if plan.estimated_seconds is not None:
        facts["time"] = (
            f"{format_duration(math.ceil(plan.estimated_seconds))} ({plan.estimate_reason})"
        )
    elif plan.estimate_reason is not None:
        facts["time"] = f"unknown ({plan.estimate_reason})"
    if plan.codec is not None:
        facts["codec"] = f"{plan.codec}, {plan.pix_fmt}"
    lines = [f"{name + ':':<11}{value}" for name, value in facts.items()]
    return [*lines, *(f"{'note:':<11}{note}" for note in plan.notes)]


def decisions(plan: Plan) -> dict[str, object]:
    """What was decided about latents, and why."""
    latents = plan.latents or {}
    key = f"key {latents['key']}, " if latents["key"] else ""
    return {
        "latents": f"{latents['container']} file, {key}{latents['dtype']} {latents['shape']}",
        "from": f"{latents['backbone']} ({latents['backbone_reason']})",
        **{
            name: f"{latents[name]} ({latents[f'{name}_reason']}"
            f"{_margin(latents[f'{name}_margin'])})"
            for name in ("layout", "scale")
        },
        "rate": f"{plan.frame_rate} frames per second ({plan.frame_rate_reason})",
    }


def _margin(margin: float | None) -> str:
    return "" if margin is None else f"; margin {margin:+.2f}"


def _tell_speed(console: Console, job: Job, report: Any) -> None:
    made = report.frames - report.resumed
    speed = made / report.seconds if report.seconds > 0 else 0.0
    digits = 1 if speed >= 1 else 3
    console.note(
        f"{job.source.name}: {counted(made, 'frame')}"
        f"{f' more, of {report.frames},' * bool(report.resumed)} in "
        f"{format_duration(report.seconds)} ({speed:.{digits}f} frames/s), "
        f"{format_bytes(report.bytes_written)}"
    )
    for note in report.notes:
        console.note(f"{job.source.name}: {note}")
    for note in report.plan.notes:
        console.note(f"note: {note}")
    for warning in report.warnings:
        console.warning(f"{job.source.name}: {warning}")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the folder {folder}: {error.strerror}") from error
