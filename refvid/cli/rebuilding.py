"""What `enhance` and `stylize` have in common: options, jobs, and the way of a job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Generic, Literal, TypeVar

import typer

from refvid.cli import comparing
from refvid.cli import options as opt
from refvid.cli.console import Console, format_bytes
from refvid.cli.jobs import Batch, RunJob, facts_text, results_folder
from refvid.cli.licence import asking_for_licence
from refvid.errors import InputError, OptionError
from refvid.settings import Settings

if TYPE_CHECKING:
    from refvid.checkpoints.transfer import TransferCallback
    from refvid.media.encoding import Encoding
    from refvid.workflows.batch import Job
    from refvid.workflows.choose_model import LoadedBackbone
    from refvid.workflows.progress import ProgressCallback
    from refvid.workflows.rebuild_options import RebuildOptions
    from refvid.workflows.rebuild_plan import RebuildPlan, RebuildReport

Options = TypeVar("Options", bound="RebuildOptions")

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Videos, wildcards, folders, or image sequences (shot_%04d.png).",
        show_default=False,
    ),
]
NoCutDetection = Annotated[
    bool,
    typer.Option(
        "--no-cut-detection",
        help="Take the whole input as one shot.",
        rich_help_panel=opt.RANGE_PANEL,
    ),
]
Audio = Annotated[
    Literal["copy", "none"],
    typer.Option(
        "--audio",
        metavar="copy|none",
        help="Sound tracks.",
        rich_help_panel=opt.ENCODING_PANEL,
    ),
]
Subtitles = Annotated[
    Literal["copy", "none"],
    typer.Option(
        "--subs",
        metavar="copy|none",
        help="Subtitles.",
        rich_help_panel=opt.ENCODING_PANEL,
    ),
]


def encoding_options(
    settings: Settings,
    *,
    codec: str | None,
    crf: float | None,
    pix_fmt: str | None,
    encoder_option: list[str] | None,
    audio: Literal["copy", "none"],
    subs: Literal["copy", "none"],
    no_metadata: bool,
) -> Encoding:
    """Flags over settings."""
    from refvid.media.encoding import Encoding

    return Encoding(
        codec=codec or settings.codec,
        crf=settings.crf if crf is None else crf,
        pix_fmt=pix_fmt,
        encoder_options=opt.parse_encoder_options(encoder_option or []),
        audio=audio,
        subtitles=subs,
        metadata=not no_metadata,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow(Generic[Options]):
    """The functions that take a command's jobs through."""

    load: Callable[[TransferCallback], LoadedBackbone]
    plan: Callable[[Options, LoadedBackbone], RebuildPlan]
    run: Callable[[Options, LoadedBackbone, ProgressCallback], RebuildReport]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[Options]):
    """One run of `enhance` or `stylize`."""

    console: Console
    options: Options
    """Each job puts in its own source and output."""

    workflow: Callable[[], Workflow[Options]]
    """Called when there is something to do, since it imports torch; may say something first."""

    images: Sequence[Path] = ()
    """What conditions the decoder; no job's output may replace it."""

    recursive: bool = False
    compare: bool = False
    skip_existing: bool = False
    fail_fast: bool = False
    dry_run: bool = False

    def run(self, inputs: list[str], output: str | None) -> int:
        """Run or plan a job for each input, print what became of it, and give the exit code.

        Raises:
            OptionError: Options contradict each other, or an output would replace an image.
        """
        if self.compare:
            comparing.check_range(self.options.range)
        jobs = self._find_jobs(inputs, output)
        for job in jobs:
            for image in self.images:
                if job.output.exists() and job.output.samefile(image):
                    raise OptionError(
                        f"the output {job.output} is the reference; choose another name"
                    )
        batch = Batch(
            console=self.console,
            jobs=jobs,
            plan_text=_plan_text,
            overwrite=self.options.overwrite,
            skip_existing=self.skip_existing,
            fail_fast=self.fail_fast,
            dry_run=self.dry_run,
        )
        return batch.run(lambda _ready: self._start())

    def _find_jobs(self, inputs: list[str], output: str | None) -> list[Job]:
        from refvid.workflows.batch import expand_inputs, plan_jobs

        sources = expand_inputs(inputs, recursive=self.recursive, results=results_folder(output))
        return plan_jobs(sources, output, suffix_of=_suffix_of)

    def _start(self) -> RunJob:
        """Load the model; the jobs go through it, or are only planned."""
        workflow = self.workflow()
        with self.console.transfers() as on_transfer:
            loaded = asking_for_licence(self.console, lambda: workflow.load(on_transfer))
        self.console.note(f"model {loaded.name}: {loaded.reason}")

        def run(job: Job) -> RebuildPlan | RebuildReport:
            mine = replace(self.options, source=job.source, output=job.output)
            if self.compare:
                comparing.check_page(mine.output, overwrite=mine.overwrite)
            if self.dry_run:
                return workflow.plan(mine, loaded)
            with self.console.progress(job.source.name) as on_progress:
                report = workflow.run(mine, loaded, on_progress)
            if self.compare:
                comparing.write_comparison(
                    self.console,
                    mine.source,
                    mine.output,
                    labels=("input", "result"),
                    frames=report.frames,
                    overwrite=mine.overwrite,
                    rate=mine.sequence_rate,
                )
            return report

        return run


def _suffix_of(source: Path) -> str:
    from refvid.media.image import IMAGE_SUFFIXES
    from refvid.media.output_plan import default_suffix
    from refvid.media.video_info import read_video_info

    if source.suffix.lower() in IMAGE_SUFFIXES and source.is_file():
        return source.suffix
    try:
        return default_suffix(read_video_info(source))
    except InputError:
        return source.suffix  # its own job will say what is wrong with it


def _plan_text(plan: RebuildPlan) -> str:
    """A plan as aligned lines, one fact each."""
    facts: dict[str, object] = {
        "input": plan.source,
        "output": plan.output,
        "frames": "unknown" if plan.frames is None else plan.frames,
        "size": f"{plan.width}x{plan.height}",
        "reference": plan.reference,
        "model": f"{plan.model} ({plan.model_reason})",
        "device": f"{plan.device}, {plan.dtype}",
        "chunks": f"{'?' if plan.chunks is None else plan.chunks} of {plan.chunk} frames",
        "tile": "off" if plan.tile is None else f"{plan.tile} pixels",
        "memory": f"about {format_bytes(plan.memory_bytes)}",
        "codec": f"{plan.codec}, {plan.pix_fmt}",
    }
    return facts_text(facts, plan.notes)
