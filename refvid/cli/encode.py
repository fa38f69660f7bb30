"""`refvid encode`: words -> options -> the workflow, once per video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refvid.cli import options as opt
from refvid.cli.console import Console, format_bytes
from refvid.cli.jobs import Batch, RunJob, facts_text, results_folder
from refvid.cli.licence import asking_for_licence
from refvid.errors import OptionError

if TYPE_CHECKING:
    from refvid.workflows.batch import Job
    from refvid.workflows.encode import EncodePlan, EncodeReport
    from refvid.workflows.encode_options import EncodeOptions


def encode(
    ctx: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Videos, wildcards, folders, or image sequences (shot_%04d.png).",
            show_default=False,
        ),
    ],
    output: opt.Output = None,
    overwrite: opt.Overwrite = False,
    skip_existing: opt.SkipExisting = False,
    recursive: opt.Recursive = False,
    rate: opt.Rate = None,
    start: opt.Start = None,
    end: opt.End = None,
    frames: opt.Frames = None,
    preview: opt.Preview = None,
    model: opt.Model = None,
    weights: opt.Weights = None,
    device: opt.Device = None,
    dtype: opt.DTypeOption = None,
    chunk: opt.Chunk = None,
    memory: opt.Memory = None,
    hdr: opt.Hdr = "refuse",
    fail_fast: opt.FailFast = False,
    dry_run: opt.DryRun = False,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Encode videos to latents: safetensors files that `refvid decode` turns back.

    A file holds one tensor, `latents`, raw and float32, [1, channels, time, height, width], with
    frame rate, number of frames and size as metadata. Sound is not kept.

    \b
      refvid encode clip.mp4 -o latents.safetensors --model wan2.1
      refvid decode latents.safetensors --ref photo.jpg
    """
    console, settings = opt.start(ctx, quiet=quiet, verbose=verbose, debug=debug, as_json=as_json)
    if overwrite and skip_existing:
        raise OptionError("--overwrite and --skip-existing exclude each other")

    # Everything that can fail cheaply comes before torch, which takes seconds to import.
    from refvid.workflows.batch import expand_inputs, plan_jobs
    from refvid.workflows.encode_options import EncodeOptions

    options = EncodeOptions(
        source=Path(),  # each job puts in its own
        output=Path(),
        range=opt.parse_range(start, end, frames, preview),
        hdr=hdr,
        sequence_rate=opt.parse_rate(rate),
        overwrite=overwrite,
        model=opt.model_options(
            settings,
            model=model,
            weights=weights,
            device=device,
            dtype=dtype,
            chunk=chunk,
            memory=memory,
        ),
    )
    output = output or settings.output
    sources = expand_inputs(inputs, recursive=recursive, results=results_folder(output))
    jobs = plan_jobs(sources, output, suffix_of=lambda _source: ".safetensors")
    for job in jobs:
        replace(options, output=job.output)  # says what is wrong with its name
    batch = Batch(
        console=console,
        jobs=jobs,
        plan_text=_plan_text,
        overwrite=overwrite,
        skip_existing=skip_existing,
        fail_fast=fail_fast,
        dry_run=dry_run,
    )
    raise typer.Exit(batch.run(lambda _ready: _start(options, console, dry_run=dry_run)))


def _start(options: EncodeOptions, console: Console, *, dry_run: bool) -> RunJob:
    """Load the model; the jobs go through it, or are only planned."""
    from refvid.workflows import encode as workflow

    with console.transfers() as on_transfer:
        loaded = asking_for_licence(
            console, lambda: workflow.choose_backbone(options.model, on_transfer)
        )
    console.note(f"model {loaded.name}: {loaded.reason}")

    def run(job: Job) -> EncodePlan | EncodeReport:
        mine = replace(options, source=job.source, output=job.output)
        if dry_run:
            return workflow.plan_encode(mine, loaded)
        with console.progress(job.source.name) as on_progress:
            return workflow.encode(mine, loaded, on_progress)

    return run


def _plan_text(plan: EncodePlan) -> str:
    facts: dict[str, object] = {
        "input": plan.source,
        "output": plan.output,
        "frames": "unknown" if plan.frames is None else plan.frames,
        "size": f"{plan.width}x{plan.height}",
        "rate": plan.frame_rate or "unknown",
        "model": f"{plan.model} ({plan.model_reason})",
        "device": f"{plan.device}, {plan.dtype}",
        "chunks": f"{'?' if plan.chunks is None else plan.chunks} of {plan.chunk} frames",
        "memory": f"about {format_bytes(plan.memory_bytes)}",
    }
    return facts_text(facts, plan.notes)
