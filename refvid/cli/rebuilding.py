"""What `enhance` and `stylize` have in common: some flags, and how a job is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from refvid.cli import comparing, flags
from refvid.cli.console import Console
from refvid.cli.jobs import count_inputs, find_jobs
from refvid.cli.kinds import check_result, check_video
from refvid.cli.pipes import Pipes
from refvid.cli.task import Models, Splits, Task
from refvid.time_words import parse_rate
from refvid.words import parse_enlargement

if TYPE_CHECKING:
    from refvid.cli.task import Do
    from refvid.media.inputs import Job
    from refvid.rebuild.choose_backbone import LoadedBackbone
    from refvid.rebuild.existing import Existing
    from refvid.rebuild.options import RebuildOptions, Styles
    from refvid.rebuild.parts import MakeParts, Part, PartMaker
    from refvid.rebuild.plan import Plan, Report
    from refvid.rebuild.reference_options import References


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilding:
    """How a video is rebuilt, whatever the decoder is conditioned on."""

    container: flags.Container = None
    scale: flags.Scale = None
    size: flags.Size = None
    compare: flags.Compare = False
    rate: flags.Rate = None
    no_cut_detection: flags.NoCutDetection = False
    hdr: flags.Hdr = "auto"

    def parse(
        self,
        part: flags.Range,
        rules: flags.BatchRules,
        encoding: flags.Encoding,
        *,
        strength: float,
    ) -> RebuildOptions:
        from refvid.rebuild.options import RebuildOptions

        return RebuildOptions(
            range=part.parse(),
            strength=strength,
            enlargement=parse_enlargement(self.scale, self.size),
            cut_detection=not self.no_cut_detection,
            hdr=self.hdr,
            sequence_rate=parse_rate(self.rate),
            overwrite=rules.overwrite,
            encoding=encoding.parse(),
        )


class Work(NamedTuple):
    """How a job is done."""

    choose: partial[LoadedBackbone]
    """Loads the model; takes what hears of downloads."""

    plan: Callable[..., Plan]
    """Takes job, conditions, options, the model, and a trial."""

    rebuild: Callable[..., Report]
    """Takes job, conditions, options, the model, what hears of the progress, and if other processes
    rebuild the parts, what has them made."""

    begin_parts: Callable[..., PartMaker]
    """Takes job, conditions, options and the model."""


def rebuilding_task(
    console: Console,
    pipes: Pipes,
    conditions: References | Styles,
    options: RebuildOptions,
    work: Callable[[], Work],
    *,
    model: str | None,
    compare: bool,
    preview: bool,
    style: str = "",
) -> Task:
    """Tell what is to be done with all inputs.

    Args:
        console: Where messages go.
        pipes: Inputs, and where results go.
        conditions: What the decoder is conditioned on.
        options: How videos are rebuilt.
        work: Imports how a job is done, once there is something to do.
        model: Its name, where that is known before.
        compare: Write a page beside every result.
        preview: Results are previews, which have names of their own.
        style: What results are called after, in place of refvid.
    """
    from refvid.media.outputs import check_replaces_no
    from refvid.rebuild.existing import find_video
    from refvid.rebuild.provenance import how_rebuilt

    rules = pipes.rules
    options = replace(options, resume=not rules.no_resume)
    check_result(rules.output, options.encoding)
    jobs = find_jobs(
        pipes.inputs,
        rules,
        rate=options.sequence_rate,
        preview=preview,
        style=style,
        picture_option="--style" if style else "--ref",
    )
    jobs = pipes.attach(jobs)
    conditions = conditions.for_inputs(count_inputs(jobs))
    check_replaces_no([job.output for job in jobs], conditions.images, "the reference")

    def find_existing(job: Job) -> Existing | None:
        how = how_rebuilt(conditions.of(job.source).provenance(), options)
        # The input as it is needs no model.
        return find_video(job, how=how, options=options, model=model if options.strength else None)

    def begin(models: Models, ready: Sequence[Job]) -> Do:  # noqa: ARG001 -- `decode` needs them
        from refvid.rebuild.trial import Trial
        from refvid.rebuild.unchanged import no_model

        choose, plan, rebuild, _ = work()
        loaded = models.load(choose) if options.strength else no_model()
        trial = Trial()

        def do(job: Job, *make_parts: MakeParts) -> Plan | Report:
            if compare:
                comparing.check_page(job, overwrite=rules.overwrite)
            if rules.dry_run:
                return plan(job, conditions, options, loaded, trial)
            with console.progress(job.source.name) as on_progress:
                report = rebuild(job, conditions, options, loaded, on_progress, *make_parts)
            if compare:
                comparing.compare_with_input(console, job, options, report.frames)
            return report

        return do

    return Task(
        splits=_splits(conditions, options, work, begin),
        jobs=jobs,
        rules=rules,
        begin=begin,
        check=check_video,
        find_existing=find_existing,
        reads=conditions.images,
        stays_here=pipes.are_streams,
        finish=pipes.finish,
    )


def _splits(
    conditions: References | Styles,
    options: RebuildOptions,
    work: Callable[[], Work],
    begin: Callable[[Models, Sequence[Job]], Do],
) -> Splits | None:
    # A reference video is read in step with the input, from the beginning.
    if options.strength == 0 or getattr(conditions, "video", None) is not None:
        return None

    def find(job: Job, devices: int) -> Sequence[Part]:
        from refvid.rebuild.parts import find_parts

        return find_parts(job, options, devices)

    def begin_parts(models: Models, job: Job) -> PartMaker:
        choose, _, _, begin_parts = work()
        return begin_parts(job, conditions, options, models.load(choose))

    def join(models: Models, job: Job, make_parts: MakeParts) -> Plan | Report:
        return begin(models, [job])(job, make_parts)

    return Splits(find, begin_parts, join)
