"""What `enhance` and `stylize` have in common: some flags, and the loop over their jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from refvid.cli import comparing, flags
from refvid.cli.batch import Batch
from refvid.cli.console import Console
from refvid.cli.jobs import find_jobs
from refvid.cli.kinds import check_result, check_video
from refvid.words import parse_enlargement, parse_rate

if TYPE_CHECKING:
    from refvid.media.inputs import Job
    from refvid.rebuild.choose_backbone import LoadedBackbone
    from refvid.rebuild.existing import Existing
    from refvid.rebuild.options import RebuildOptions, Styles
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
            resume=not rules.no_resume,
            encoding=encoding.parse(),
        )


class Work(NamedTuple):
    """How a job is done, once the model is there."""

    loaded: LoadedBackbone
    plan: Callable[..., Plan]
    """Takes job, conditions, options, the model, and a trial."""

    rebuild: Callable[..., Report]
    """Takes job, conditions, options, the model, and what hears of the progress."""


def rebuild_all(
    console: Console,
    inputs: Sequence[str],
    rules: flags.BatchRules,
    conditions: References | Styles,
    options: RebuildOptions,
    begin: Callable[[], Work],
    *,
    model: str | None,
    compare: bool,
    preview: bool,
    style: str = "",
) -> int:
    """Rebuild all inputs, and give the exit code.

    Args:
        console: Where results and messages go.
        inputs: Files, folders, wildcards, patterns.
        rules: Where results go.
        conditions: What the decoder is conditioned on.
        options: How videos are rebuilt.
        begin: Loads the model, once there is something to do.
        model: Its name, where that is known before.
        compare: Write a page beside every result.
        preview: Results are previews, which have names of their own.
        style: What results are called after, in place of refvid.
    """
    from refvid.media.outputs import check_replaces_no
    from refvid.rebuild.existing import find_video
    from refvid.rebuild.provenance import how_rebuilt

    check_result(rules.output, options.encoding)
    jobs = find_jobs(
        inputs,
        rules,
        rate=options.sequence_rate,
        preview=preview,
        style=style,
        picture_option="--style" if style else "--ref",
    )
    conditions = conditions.for_inputs(len(jobs))
    check_replaces_no([job.output for job in jobs], conditions.images, "the reference")

    def find_existing(job: Job) -> Existing | None:
        how = how_rebuilt(conditions.of(job.source).provenance(), options)
        # The input as it is needs no model.
        return find_video(job, how=how, options=options, model=model if options.strength else None)

    batch = Batch(console, rules, jobs, check_video, find_existing=find_existing)
    if batch.ready:
        from refvid.rebuild.trial import Trial

        loaded, plan, rebuild = begin()
        trial = Trial()
        for job in batch:
            with batch.attempt(job) as outcome:
                if compare:
                    comparing.check_page(job, overwrite=rules.overwrite)
                if rules.dry_run:
                    outcome.report = plan(job, conditions, options, loaded, trial)
                    continue
                with console.progress(job.source.name) as on_progress:
                    report = rebuild(job, conditions, options, loaded, on_progress)
                if compare:
                    comparing.compare_with_input(console, job, options, report.frames)
                outcome.report = report
    return batch.finish()
