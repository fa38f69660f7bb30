"""Taking inputs through a command: which jobs can run, and what becomes of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import refvid
from refvid.cli.console import Console, error_document, format_bytes, format_duration
from refvid.cli.exit_codes import batch_exit_code
from refvid.cli.flags import BatchRules
from refvid.cli.licence import asking_for_licence
from refvid.errors import InputError, OutputError, RefvidError

if TYPE_CHECKING:
    from refvid.media.inputs import Job
    from refvid.media.video_info import VideoInfo
    from refvid.progress import TransferCallback
    from refvid.rebuild.choose_backbone import LoadedBackbone
    from refvid.rebuild.plan import Plan, Report


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of one job: exactly one of the fields below `job` says it."""

    job: Job
    report: Plan | Report | None = None
    """Put there by whoever does the job."""

    error: Exception | None = None
    skipped: bool = False

    @property
    def status(self) -> str:
        """done, failed or skipped."""
        return "failed" if self.error else "skipped" if self.skipped else "done"


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
    """

    def __init__(
        self,
        console: Console,
        rules: BatchRules,
        jobs: Sequence[Job],
        check: Callable[[Path], None] | None = None,
    ) -> None:
        self._console = console
        self._rules = rules
        self._jobs = jobs
        self.ready, self.outcomes = triage(
            jobs, overwrite=rules.overwrite, skip_existing=rules.skip_existing, check=check
        )
        """The jobs that can run."""

        for outcome in self.outcomes:
            self._tell(outcome)
        if self._is_over:
            self.ready = []

    @property
    def _is_over(self) -> bool:
        return self._rules.fail_fast and any(outcome.error for outcome in self.outcomes)

    def __iter__(self) -> Iterator[Job]:
        """The jobs that can run, up to the first failure if that ends them."""
        for job in self.ready:
            try:
                if job.create_folder and not self._rules.dry_run:
                    _make_folder(job.output.parent)
            except OutputError as error:
                self._add(Outcome(job=job, error=error))
            else:
                yield job
            if self._is_over:
                return

    @contextmanager
    def attempt(self, job: Job) -> Iterator[Outcome]:
        """Do one job: a failure becomes its outcome, and does not stop the rest."""
        outcome = Outcome(job=job)
        try:
            yield outcome
        except Exception as error:  # noqa: BLE001 -- one bad file must not cost the others
            outcome.error, outcome.report = error, None
        self._add(outcome)

    def _add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._tell(outcome)

    def finish(self) -> int:
        """Print what became of all, and give the exit code."""
        outcomes, total = self.outcomes, len(self._jobs)
        code = batch_exit_code(outcome.error for outcome in outcomes if outcome.error)
        if self._console.json:
            outcomes.sort(key=lambda outcome: self._jobs.index(outcome.job))
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
        if outcome.skipped:
            console.note(f"skipped {job.source}: {job.output} exists")
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

    def _document(self, outcome: Outcome) -> dict[str, Any]:
        is_planned = self._rules.dry_run and outcome.status == "done"
        result: dict[str, Any] = {
            "input": str(outcome.job.source),
            "output": str(outcome.job.output),
            "status": "planned" if is_planned else outcome.status,
        }
        if outcome.report is not None:
            result["plan" if self._rules.dry_run else "report"] = outcome.report.to_json()
        if outcome.error is not None:
            result["error"] = error_document(outcome.error)
        return result


def triage(
    jobs: Iterable[Job],
    *,
    overwrite: bool = False,
    skip_existing: bool = False,
    check: Callable[[Path], None] | None = None,
) -> tuple[list[Job], list[Outcome]]:
    """Sort out, before any weights are loaded, the jobs that need not or cannot run.

    Returns:
        The jobs to run, and the outcomes of the others.
    """
    from refvid.media.inputs import check_job_output, check_source
    from refvid.media.outputs import output_exists

    ready: list[Job] = []
    others: list[Outcome] = []
    for job in jobs:
        try:
            (check or check_source)(job.source)
            if skip_existing and output_exists(job.output):
                others.append(Outcome(job=job, skipped=True))
                continue
            check_job_output(job, overwrite=overwrite)
        except RefvidError as error:
            others.append(Outcome(job=job, error=error))
        else:
            ready.append(job)
    return ready, others


def find_jobs(
    inputs: Sequence[str],
    rules: BatchRules,
    *,
    suffix: str | None = None,
    accepts: Callable[[Path], bool] | None = None,
    rate: Fraction | None = None,
) -> list[Job]:
    """Turn the words for inputs and outputs into jobs.

    Args:
        inputs: Files, folders, wildcards, patterns.
        rules: Where results go.
        suffix: Of results; None takes the one that can hold all that its source has.
        accepts: Tells which files of a folder are inputs; None takes videos and images.
        rate: Frame rate of image sequences.
    """
    from refvid.media.inputs import expand_inputs, plan_jobs

    output = rules.output
    # A folder that holds results: recursion does not look into it for inputs.
    results = None if output is None or "{" in output else Path(output)
    sources = expand_inputs(inputs, recursive=rules.recursive, results=results, accepts=accepts)
    infos: dict[Path, VideoInfo] = {}
    jobs = plan_jobs(
        sources, output, suffix_of=lambda source: suffix or _suffix_like(source, rate, infos)
    )
    return [replace(job, info=infos.get(job.source)) for job in jobs]


def _suffix_like(source: Path, rate: Fraction | None, infos: dict[Path, VideoInfo]) -> str:
    from refvid.media.image import IMAGE_SUFFIXES
    from refvid.media.output_plan import default_suffix
    from refvid.media.video_info import read_video_info

    if source.suffix.lower() in IMAGE_SUFFIXES and source.is_file():
        return source.suffix
    try:
        infos[source] = read_video_info(source, rate=rate, companions=True)
    except InputError:
        return source.suffix  # its own job will say what is wrong with it
    return default_suffix(infos[source])


def load_model(
    console: Console, choose: Callable[[TransferCallback], LoadedBackbone]
) -> LoadedBackbone:
    """Load the model that a command chooses, and say which and why."""
    with console.transfers() as on_transfer:
        loaded = asking_for_licence(console, lambda: choose(on_transfer))
    console.note(f"model {loaded.name}: {loaded.reason}")
    return loaded


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
    facts["device"] = f"{plan.device}, {plan.dtype}"
    facts["chunks"] = f"{chunks} of {plan.chunk} frames"
    if plan.kind != "encode":
        facts["tile"] = "off" if plan.tile is None else f"{plan.tile} pixels"
    facts["memory"] = f"about {format_bytes(plan.memory_bytes)}"
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
    speed = report.frames / report.seconds if report.seconds > 0 else 0.0
    digits = 1 if speed >= 1 else 3
    console.note(
        f"{job.source.name}: {report.frames} frames in {format_duration(report.seconds)} "
        f"({speed:.{digits}f} frames/s), {format_bytes(report.bytes_written)}"
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
