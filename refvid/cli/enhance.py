"""`refvid enhance`: words -> options -> the workflow, once per input -> paths or JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import refvid
from refvid.cli import options as opt
from refvid.cli.console import Console, error_document, format_bytes, format_duration
from refvid.cli.exit_codes import batch_exit_code
from refvid.errors import InputError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from refvid.workflows.batch import Job, Outcome
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
    ref_fit: Annotated[
        Literal["cover", "contain", "stretch"],
        typer.Option(
            "--ref-fit",
            metavar="cover|contain|stretch",
            help="How a reference of another shape meets the frame.",
            rich_help_panel=opt.REFERENCE_PANEL,
        ),
    ] = "cover",
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
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="File, folder/ or template.  [default: {dir}/{stem}_refvid{ext}]",
            rich_help_panel=opt.IO_PANEL,
        ),
    ] = None,
    overwrite: opt.Overwrite = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "-n",
            "--skip-existing",
            help="Leave inputs out whose result exists.",
            rich_help_panel=opt.IO_PANEL,
        ),
    ] = False,
    recursive: Annotated[
        bool,
        typer.Option(
            "-r",
            "--recursive",
            help="Look into folders below folders.",
            rich_help_panel=opt.IO_PANEL,
        ),
    ] = False,
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate",
            metavar="FPS",
            help="Frame rate of image sequences: 25, 23.976, 24000/1001.  [default: 24]",
            rich_help_panel=opt.IO_PANEL,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="TIME",
            help="Begin here: 90, 1:30, 00:01:30.5, or frame 120f.",
            rich_help_panel=opt.RANGE_PANEL,
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(
            "--end", metavar="TIME", help="Stop before this.", rich_help_panel=opt.RANGE_PANEL
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames",
            metavar="N",
            min=1,
            help="At most so many frames.",
            rich_help_panel=opt.RANGE_PANEL,
        ),
    ] = None,
    preview: Annotated[
        str | None,
        typer.Option(
            "--preview",
            metavar="LENGTH",
            help="Only the first 5s, or 48f, from --start.",
            rich_help_panel=opt.RANGE_PANEL,
        ),
    ] = None,
    no_cut_detection: Annotated[
        bool,
        typer.Option(
            "--no-cut-detection",
            help="Take the whole input as one shot.",
            rich_help_panel=opt.RANGE_PANEL,
        ),
    ] = False,
    model: opt.Model = None,
    device: opt.Device = None,
    dtype: opt.DTypeOption = None,
    chunk: opt.Chunk = None,
    tile: opt.Tile = "auto",
    codec: Annotated[
        str | None,
        typer.Option(
            "-c",
            "--codec",
            metavar="NAME",
            help="h264, hevc, vp9, av1, prores, ffv1, png or an FFmpeg encoder."
            "  [default: like the input]",
            rich_help_panel=opt.ENCODING_PANEL,
        ),
    ] = None,
    crf: Annotated[
        float | None,
        typer.Option(
            "--crf",
            metavar="N",
            min=0,
            max=63,
            help="Quality: smaller is better and bigger.",
            rich_help_panel=opt.ENCODING_PANEL,
        ),
    ] = None,
    pix_fmt: Annotated[
        str | None,
        typer.Option(
            "--pix-fmt",
            metavar="NAME",
            help="FFmpeg pixel format.  [default: like the input]",
            rich_help_panel=opt.ENCODING_PANEL,
        ),
    ] = None,
    encoder_option: Annotated[
        list[str] | None,
        typer.Option(
            "-e",
            "--encoder-option",
            metavar="KEY=VALUE",
            help="For the encoder, e.g. preset=slow; may be repeated.",
            rich_help_panel=opt.ENCODING_PANEL,
        ),
    ] = None,
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
    no_metadata: Annotated[
        bool,
        typer.Option(
            "--no-metadata",
            help="Leave out tags, chapters and the provenance line.",
            rich_help_panel=opt.ENCODING_PANEL,
        ),
    ] = False,
    hdr: Annotated[
        Literal["refuse", "passthrough"],
        typer.Option(
            "--hdr",
            metavar="refuse|passthrough",
            help="What to do with HDR video, which the models have not learned.",
            rich_help_panel=opt.ENCODING_PANEL,
        ),
    ] = "refuse",
    fail_fast: Annotated[
        bool,
        typer.Option(
            "--fail-fast",
            help="Stop a batch at its first failure.",
            rich_help_panel=opt.BATCH_PANEL,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print what would be done, and do nothing.",
            rich_help_panel=opt.BATCH_PANEL,
        ),
    ] = False,
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
    from refvid.workflows.batch import triage
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
            device=device,
            dtype=dtype,
            chunk=chunk,
            tile=opt.parse_tile(tile),
        ),
    )
    jobs = _find_jobs(inputs, output or settings.output, recursive=recursive)
    _refuse_loss_of_reference(jobs, options)
    ready, outcomes = triage(jobs, overwrite=overwrite, skip_existing=skip_existing)
    for outcome in outcomes:
        _tell(console, outcome, several=len(jobs) > 1)
    if ready and not (fail_fast and any(outcome.error for outcome in outcomes)):
        if options.reference is None:
            console.note("no --ref: decoding without a reference, which brings less back")
        for outcome in _run(ready, options, console, fail_fast=fail_fast, dry_run=dry_run):
            outcomes.append(outcome)
            _tell(console, outcome, several=len(jobs) > 1)
            if outcome.report is not None and not as_json:
                console.result(_plan_text(outcome.report) if dry_run else str(outcome.job.output))

    code = batch_exit_code(outcome.error for outcome in outcomes if outcome.error)
    if as_json:
        outcomes.sort(key=lambda outcome: jobs.index(outcome.job))
        console.result_json(_document(outcomes, code, dry_run=dry_run))
    elif len(jobs) > 1:
        console.note(_summary(outcomes, len(jobs)))
    raise typer.Exit(code)


def _find_jobs(inputs: list[str], output: str | None, *, recursive: bool) -> list[Job]:
    from refvid.workflows.batch import expand_inputs, plan_jobs

    is_template = output is not None and "{" in output
    results = None if output is None or is_template else Path(output)
    sources = expand_inputs(inputs, recursive=recursive, results=results)
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


def _run(
    jobs: Sequence[Job],
    options: EnhanceOptions,
    console: Console,
    *,
    fail_fast: bool,
    dry_run: bool,
) -> Iterator[Outcome[Any]]:
    """Load the model once and take the jobs through it, or only plan them."""
    from refvid.workflows import enhance as workflow
    from refvid.workflows.batch import run_batch

    loaded = workflow.choose_backbone(options.model)
    console.note(f"model {loaded.name}: {loaded.reason}")

    def run(job: Job) -> EnhancePlan | EnhanceReport:
        mine = replace(options, source=job.source, output=job.output)
        if dry_run:
            return workflow.plan_enhance(mine, loaded)
        with console.progress(job.source.name) as on_progress:
            return workflow.enhance(mine, loaded, on_progress)

    return run_batch(jobs, run, fail_fast=fail_fast, make_folders=not dry_run)


def _tell(console: Console, outcome: Outcome[Any], *, several: bool) -> None:
    """One job's fate on stderr; its path on stdout is the caller's."""
    job, report = outcome.job, outcome.report
    if outcome.skipped:
        console.note(f"skipped {job.source}: {job.output} exists")
    elif outcome.error is not None:
        console.error(outcome.error, context=str(job.source) if several else "")
    elif report is not None and hasattr(report, "bytes_written"):  # else a plan
        speed = report.frames / report.seconds if report.seconds > 0 else 0.0
        console.note(
            f"{job.source.name}: {report.frames} frames in {format_duration(report.seconds)} "
            f"({speed:.1f} frames/s), {format_bytes(report.bytes_written)}"
        )
        for note in report.plan.notes:
            console.note(f"note: {note}")


def _summary(outcomes: Sequence[Outcome[Any]], total: int) -> str:
    counts = Counter(outcome.status for outcome in outcomes)
    parts = [f"{counts[word]} {word}" for word in ("done", "skipped", "failed") if counts[word]]
    if left := total - len(outcomes):
        parts.append(f"{left} not begun")
    return f"{total} inputs: {', '.join(parts)}"


def _plan_text(plan: EnhancePlan) -> str:
    """A plan as aligned lines, one fact each."""
    facts = {
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
    lines = [f"{name + ':':<11}{value}" for name, value in facts.items()]
    return "\n".join([*lines, *(f"{'note:':<11}{note}" for note in plan.notes)])


def _document(outcomes: Sequence[Outcome[Any]], exit_code: int, *, dry_run: bool) -> dict[str, Any]:
    """The one JSON object of a run."""
    results = []
    for outcome in outcomes:
        result: dict[str, Any] = {
            "input": str(outcome.job.source),
            "output": str(outcome.job.output),
            "status": "planned" if dry_run and outcome.status == "done" else outcome.status,
        }
        if outcome.report is not None:
            result["plan" if dry_run else "report"] = outcome.report.to_json()
        if outcome.error is not None:
            result["error"] = error_document(outcome.error)
        results.append(result)
    return {"refvid": refvid.__version__, "results": results, "exit_code": exit_code}
