"""`refvid enhance`: words -> options -> the workflow, once per input -> paths or JSON."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from refvid.cli import comparing
from refvid.cli import options as opt
from refvid.cli.console import Console, format_bytes
from refvid.cli.jobs import Batch, RunJob, facts_text, results_folder
from refvid.cli.licence import asking_for_licence
from refvid.errors import InputError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refvid.workflows.batch import Job
    from refvid.workflows.enhance import EnhancePlan, EnhanceReport
    from refvid.workflows.enhance_options import EnhanceOptions


def enhance(
    ctx: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Videos, wildcards, folders, or image sequences (shot_%04d.png).",
            show_default=False,
        ),
    ],
    ref: Annotated[
        str | None,
        typer.Option(
            "--ref",
            metavar="IMAGE|frame:N|time:T",
            help="The clean picture: an image file, or a frame of the input itself.",
            rich_help_panel=opt.REFERENCE_PANEL,
        ),
    ] = None,
    ref_fit: opt.RefFit = "cover",
    strength: Annotated[
        float,
        typer.Option(
            "--strength",
            metavar="0..1",
            min=0,
            max=1,
            help="0 gives the input back, 1 the full result.",
            rich_help_panel=opt.REFERENCE_PANEL,
        ),
    ] = 1.0,
    output: opt.Output = None,
    overwrite: opt.Overwrite = False,
    skip_existing: opt.SkipExisting = False,
    recursive: opt.Recursive = False,
    compare: comparing.Compare = False,
    rate: opt.Rate = None,
    start: opt.Start = None,
    end: opt.End = None,
    frames: opt.Frames = None,
    preview: opt.Preview = None,
    no_cut_detection: Annotated[
        bool,
        typer.Option(
            "--no-cut-detection",
            help="Take the whole input as one shot.",
            rich_help_panel=opt.RANGE_PANEL,
        ),
    ] = False,
    model: opt.Model = None,
    weights: opt.Weights = None,
    device: opt.Device = None,
    dtype: opt.DTypeOption = None,
    chunk: opt.Chunk = None,
    tile: opt.Tile = "auto",
    memory: opt.Memory = None,
    chunking: opt.Chunking = "carry",
    codec: opt.Codec = None,
    crf: opt.Crf = None,
    pix_fmt: opt.PixFmt = None,
    encoder_option: opt.EncoderOption = None,
    audio: Annotated[
        Literal["copy", "none"],
        typer.Option(
            "--audio",
            metavar="copy|none",
            help="Sound tracks.",
            rich_help_panel=opt.ENCODING_PANEL,
        ),
    ] = "copy",
    subs: Annotated[
        Literal["copy", "none"],
        typer.Option(
            "--subs",
            metavar="copy|none",
            help="Subtitles.",
            rich_help_panel=opt.ENCODING_PANEL,
        ),
    ] = "copy",
    no_metadata: opt.NoMetadata = False,
    hdr: opt.Hdr = "refuse",
    fail_fast: opt.FailFast = False,
    dry_run: opt.DryRun = False,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Rebuild a video's lost details with a reference image.

    The result keeps size, frame times, sound, subtitles, chapters, colours and rotation. Its path
    is printed on stdout.

    \b
      refvid enhance clip.mp4 --ref photo.jpg
      refvid enhance clip.mp4 --ref frame:0 --preview 5s
      refvid enhance videos/ -o results/ --ref frame:0 --skip-existing
    """
    console, settings = opt.start(ctx, quiet=quiet, verbose=verbose, debug=debug, as_json=as_json)
    if overwrite and skip_existing:
        raise OptionError("--overwrite and --skip-existing exclude each other")

    # Everything that can fail cheaply comes before torch, which takes seconds to import.
    from refvid.media.encoding import Encoding
    from refvid.workflows.enhance_options import EnhanceOptions

    options = EnhanceOptions(
        source=Path(),  # each job puts in its own
        output=Path(),
        reference=opt.parse_reference(ref),
        reference_fit=ref_fit,
        range=opt.parse_range(start, end, frames, preview),
        strength=strength,
        cut_detection=not no_cut_detection,
        hdr=hdr,
        sequence_rate=opt.parse_rate(rate),
        overwrite=overwrite,
        encoding=Encoding(
            codec=codec or settings.codec,
            crf=settings.crf if crf is None else crf,
            pix_fmt=pix_fmt,
            encoder_options=opt.parse_encoder_options(encoder_option or []),
            audio=audio,
            subtitles=subs,
            metadata=not no_metadata,
        ),
        model=opt.model_options(
            settings,
            model=model,
            weights=weights,
            device=device,
            dtype=dtype,
            chunk=chunk,
            tile=opt.parse_tile(tile),
            memory=memory,
            chunking=chunking,
        ),
    )
    if compare:
        comparing.check_range(options.range)
    jobs = _find_jobs(inputs, output or settings.output, recursive=recursive)
    _refuse_loss_of_reference(jobs, options)
    batch = Batch(
        console=console,
        jobs=jobs,
        plan_text=_plan_text,
        overwrite=overwrite,
        skip_existing=skip_existing,
        fail_fast=fail_fast,
        dry_run=dry_run,
    )
    raise typer.Exit(
        batch.run(lambda _ready: _start(options, console, compare=compare, dry_run=dry_run))
    )


def _find_jobs(inputs: list[str], output: str | None, *, recursive: bool) -> list[Job]:
    from refvid.workflows.batch import expand_inputs, plan_jobs

    sources = expand_inputs(inputs, recursive=recursive, results=results_folder(output))
    return plan_jobs(sources, output, suffix_of=_suffix_of)


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


def _refuse_loss_of_reference(jobs: Sequence[Job], options: EnhanceOptions) -> None:
    image = options.reference and options.reference.image
    for job in jobs:
        if image and job.output.exists() and job.output.samefile(image):
            raise OptionError(f"the output {job.output} is the reference; choose another name")


def _start(options: EnhanceOptions, console: Console, *, compare: bool, dry_run: bool) -> RunJob:
    """Load the model; the jobs go through it, or are only planned."""
    from refvid.workflows import enhance as workflow

    if options.reference is None:
        console.note("no --ref: decoding without a reference, which brings less back")
    with console.transfers() as on_transfer:
        loaded = asking_for_licence(
            console, lambda: workflow.choose_backbone(options.model, on_transfer)
        )
    console.note(f"model {loaded.name}: {loaded.reason}")

    def run(job: Job) -> EnhancePlan | EnhanceReport:
        mine = replace(options, source=job.source, output=job.output)
        if compare:
            comparing.check_page(mine.output, overwrite=mine.overwrite)
        if dry_run:
            return workflow.plan_enhance(mine, loaded)
        with console.progress(job.source.name) as on_progress:
            report = workflow.enhance(mine, loaded, on_progress)
        if compare:
            comparing.write_comparison(
                console,
                mine.source,
                mine.output,
                labels=("input", "result"),
                frames=report.frames,
                overwrite=mine.overwrite,
                rate=mine.sequence_rate,
            )
        return report

    return run


def _plan_text(plan: EnhancePlan) -> str:
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
