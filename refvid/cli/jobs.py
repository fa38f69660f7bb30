"""Words for inputs and outputs -> jobs, and which of them need to run and can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refvid.cli.file_errors import named_error
from refvid.cli.flags import BatchRules
from refvid.errors import InputError, OptionError, OutputError, RefvidError

if TYPE_CHECKING:
    from refvid.media.inputs import Job, Source
    from refvid.media.video_info import VideoInfo
    from refvid.rebuild.existing import Existing
    from refvid.rebuild.plan import Plan, Report


def find_jobs(
    inputs: Sequence[str | Job],
    rules: BatchRules,
    *,
    suffix: str | None = None,
    accepts: Callable[[Path], bool] | None = None,
    rate: Fraction | None = None,
    preview: bool = False,
    style: str = "",
    picture_option: str = "",
) -> list[Job]:
    """Turn the words for inputs and outputs into jobs.

    Args:
        inputs: Files, folders, wildcards, patterns; or jobs that another process has found.
        rules: Where results go.
        suffix: Of results; None takes the one that can hold all that its source has.
        accepts: Tells which files of a folder are inputs; None takes videos and images.
        rate: Frame rate of image sequences.
        preview: Whether results are previews, which have names of their own.
        style: What results are called after, in place of refvid.
        picture_option: The option that takes pictures: one among videos belongs there.

    Raises:
        OptionError: A picture stands among videos, or see `plan_jobs`.
    """
    from refvid.media.inputs import expand_inputs
    from refvid.media.naming import names_folder, plan_jobs
    from refvid.rebuild.existing import is_result

    words = [word for word in inputs if isinstance(word, str)]
    if len(words) < len(inputs):
        return [job for job in inputs if not isinstance(job, str)]
    output = rules.output
    # A folder that holds results: recursion does not look into it for inputs.
    results = None if output is None or "{" in output else Path(output)
    # For a result that is one file, a folder of images is one input, whatever they are called.
    is_file_name = output is not None and results is not None and bool(results.suffix)
    sources = expand_inputs(
        words,
        recursive=rules.recursive,
        results=results,
        accepts=accepts,
        splits_images=not is_file_name or names_folder(output or ""),
        is_result=is_result,
        style=style,
    )
    if picture_option:
        _refuse_stray_picture(sources, picture_option)
    infos: dict[Path, VideoInfo] = {}
    jobs = plan_jobs(
        sources,
        output,
        suffix_of=lambda source: suffix or _suffix_like(source, rate, infos),
        preview=preview,
        style=style,
    )
    return [replace(job, info=infos.get(job.source)) for job in jobs]


def job_names(job: Job) -> dict[str, str]:
    """What tells a job apart in events and in JSON."""
    return {"input": str(job.source), "output": str(job.output)}


def count_inputs(jobs: Sequence[Job]) -> int:
    """How many inputs a command has, though other processes may do others of them."""
    return max((len(jobs), *(job.among for job in jobs)))


def _refuse_stray_picture(sources: Sequence[Source], option: str) -> None:
    from refvid.media.file_kind import is_picture

    # Those of a folder of pictures are meant to be inputs.
    named = [source.path for source in sources if source.album is None]
    pictures = [path for path in named if is_picture(path)]
    if pictures and len(pictures) < len(sources):
        picture = pictures[0]
        raise OptionError(
            f"{picture} is a picture among videos: where it belongs to them, write {option} "
            f"{picture}; where it is an input itself, give it alone"
        )


def _suffix_like(source: Path, rate: Fraction | None, infos: dict[Path, VideoInfo]) -> str:
    from refvid.media.file_kind import is_picture, picture_suffix
    from refvid.media.output_plan import default_suffix
    from refvid.media.video_info import read_video_info

    if is_picture(source):
        return picture_suffix(source)
    try:
        infos[source] = read_video_info(source, rate=rate, companions=True)
    except InputError:
        return source.suffix  # its own job will say what is wrong with it
    return default_suffix(infos[source])


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of one job: exactly one of the fields below `job` says it."""

    job: Job
    report: Plan | Report | None = None
    """Put there by whoever does the job."""

    error: Exception | None = None
    skipped: str = ""
    """Why there was nothing to do."""

    document: dict[str, Any] | None = None
    """How it stands in JSON, from the process that has done it."""

    @property
    def status(self) -> str:
        """done, failed or skipped."""
        return "failed" if self.error else "skipped" if self.skipped else "done"


def triage(
    jobs: Iterable[Job],
    rules: BatchRules,
    check: Callable[[Path], None] | None = None,
    find_existing: Callable[[Job], Existing | None] | None = None,
) -> tuple[list[Job], list[Outcome]]:
    """Sort out, before any weights are loaded, the jobs that need not or cannot run; see `examine`.

    Returns:
        The jobs to run, and the outcomes of the others.
    """
    ready: list[Job] = []
    others: list[Outcome] = []
    cleared: set[Path] = set()
    for job in jobs:
        found = examine(job, cleared, rules, check, find_existing)
        if isinstance(found, Outcome):
            others.append(found)
        else:
            ready.append(found)
    return ready, others


def examine(
    job: Job,
    cleared: set[Path],
    rules: BatchRules,
    check: Callable[[Path], None] | None = None,
    find_existing: Callable[[Job], Existing | None] | None = None,
) -> Job | Outcome:
    """Find out whether one job can run.

    Args:
        job: The job.
        cleared: Folders in which leftovers were looked for; grows.
        rules: What the user wants of the batch.
        check: Raises `InputError` for a source that is not there; None is for videos.
        find_existing: See `Batch`.

    Returns:
        The job to run, or why it need not or cannot.
    """
    from refvid.media.inputs import check_job_output, check_source
    from refvid.media.leftovers import remove_leftovers

    try:
        (check or check_source)(job.source)
        if not rules.dry_run and job.output.parent not in cleared:
            remove_leftovers(job.output)  # they may be a sequence that is all but there
            cleared.add(job.output.parent)
        if rules.skip_existing:
            job, done = _compare(job, find_existing)
            if done:
                return Outcome(job=job, skipped=done)
        check_job_output(job, overwrite=rules.overwrite)
    except RefvidError as error:
        return Outcome(job=job, error=error)
    except OSError as error:
        return Outcome(job=job, error=named_error(error, job.output))
    return job


def _compare(job: Job, find_existing: Callable[[Job], Existing | None] | None) -> tuple[Job, str]:
    """Is a job done already?

    Returns:
        The job, which may have to replace an unfinished result; and why it is done, if it is.

    Raises:
        OutputError: Something else stands there.
    """
    from refvid.media.outputs import output_exists

    if find_existing is None:
        return job, f"{job.output} exists" * output_exists(job.output)
    existing = find_existing(job)
    if existing is None:
        return job, ""
    if existing.problem is None:
        return job, f"{job.output} {existing.remark}"
    if not existing.is_ours:
        raise OutputError(
            f"{existing.problem}, and does not say that refvid made it; --overwrite replaces it"
        )
    return replace(job, replaces=existing.problem), ""
