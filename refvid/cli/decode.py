"""`refvid decode`: words -> options -> the workflow, once per file of latents."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
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
    from refvid.workflows.choose_model import LoadedBackbone
    from refvid.workflows.decode import DecodePlan, DecodeReport
    from refvid.workflows.decode_options import DecodeOptions

_LATENTS_PANEL = "What the latents are, where the file does not say"


def decode(
    ctx: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="LATENTS",
            help="Files of saved latents (.safetensors, .latent, .pt, .npy, .npz), wildcards or "
            "folders.",
            show_default=False,
        ),
    ],
    ref: Annotated[
        str | None,
        typer.Option(
            "--ref",
            metavar="IMAGE",
            help="The clean picture: for I2V the image that the video was made from.",
            rich_help_panel=opt.REFERENCE_PANEL,
        ),
    ] = None,
    refs: Annotated[
        Path | None,
        typer.Option(
            "--refs",
            metavar="DIR",
            help="A folder with a picture for each file, by its name or the one stored in it.",
            rich_help_panel=opt.REFERENCE_PANEL,
        ),
    ] = None,
    ref_fit: opt.RefFit = "cover",
    baseline: Annotated[
        bool,
        typer.Option(
            "--baseline",
            help="The plain decoder without the reference attention, to compare with.",
            rich_help_panel=opt.REFERENCE_PANEL,
        ),
    ] = False,
    output: opt.Output = None,
    overwrite: opt.Overwrite = False,
    skip_existing: opt.SkipExisting = False,
    recursive: opt.Recursive = False,
    compare: comparing.Compare = False,
    fps: Annotated[
        str | None,
        typer.Option(
            "--fps",
            metavar="FPS",
            help="Frame rate: 16, 23.976, 24000/1001.  [default: the file's, else 16]",
            rich_help_panel=opt.IO_PANEL,
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="NAME",
            help="Which tensor of the file.",
            rich_help_panel=_LATENTS_PANEL,
        ),
    ] = None,
    layout: Annotated[
        Literal["bcthw", "btchw", "cthw", "tchw"] | None,
        typer.Option(
            "--layout",
            metavar="bcthw|btchw|cthw|tchw",
            help="Order of its axes: batch, channels, time, height, width.",
            rich_help_panel=_LATENTS_PANEL,
        ),
    ] = None,
    latent_scale: Annotated[
        Literal["raw", "normalized"] | None,
        typer.Option(
            "--latent-scale",
            metavar="raw|normalized",
            help="Pipelines save normalized latents, ComfyUI's SaveLatent raw ones.",
            rich_help_panel=_LATENTS_PANEL,
        ),
    ] = None,
    drop_latents: Annotated[
        int,
        typer.Option(
            "--drop-latents",
            metavar="N",
            min=0,
            help="Leave out the first N, such as the reference latents of VACE.",
            rich_help_panel=_LATENTS_PANEL,
        ),
    ] = 0,
    item: Annotated[
        int | None,
        typer.Option(
            "--item",
            metavar="N",
            min=0,
            help="Which of several videos in one tensor, from 0.",
            rich_help_panel=_LATENTS_PANEL,
        ),
    ] = None,
    model: opt.Model = None,
    weights: opt.Weights = None,
    device: opt.Device = None,
    dtype: opt.DTypeOption = None,
    chunk: opt.Chunk = None,
    tile: opt.Tile = "auto",
    memory: opt.Memory = None,
    codec: opt.Codec = None,
    crf: opt.Crf = None,
    pix_fmt: opt.PixFmt = None,
    encoder_option: opt.EncoderOption = None,
    no_metadata: opt.NoMetadata = False,
    fail_fast: opt.FailFast = False,
    dry_run: opt.DryRun = False,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Decode latents that a diffusion pipeline saved, with a reference image.

    For Wan 2.1 (and what shares its VAE), for VideoVAE+ where --model says so, and for files of
    `refvid encode`. Axes, scale and key
    are told from the contents; what is not clear is asked for. `refvid info FILE` shows it all.

    \b
      refvid decode latents.pt --ref first.png
      refvid decode latents/ --refs images/ -o videos/ --skip-existing
      refvid decode latents.pt --baseline -o plain.mp4
    """
    console, settings = opt.start(ctx, quiet=quiet, verbose=verbose, debug=debug, as_json=as_json)
    if overwrite and skip_existing:
        raise OptionError("--overwrite and --skip-existing exclude each other")
    if compare and ref is None and refs is None:
        raise OptionError("--compare shows what a reference brings: give --ref or --refs")

    # Everything that can fail cheaply comes before torch, which takes seconds to import.
    from refvid.latents.containers import holds_tensors
    from refvid.latents.wishes import LatentWishes
    from refvid.media.encoding import Encoding
    from refvid.workflows.batch import check_file, expand_inputs, plan_jobs
    from refvid.workflows.decode_options import DecodeOptions

    options = DecodeOptions(
        source=Path(),  # each job puts in its own
        output=Path(),
        reference=_parse_reference(ref),
        references=_check_folder(refs),
        reference_fit=ref_fit,
        wishes=LatentWishes(
            key=key, layout=layout, scale=latent_scale, item=item, drop=drop_latents
        ),
        frame_rate=opt.parse_rate(fps, "--fps"),
        baseline=baseline,
        overwrite=overwrite,
        encoding=Encoding(
            codec=codec or settings.codec,
            crf=settings.crf if crf is None else crf,
            pix_fmt=pix_fmt,
            encoder_options=opt.parse_encoder_options(encoder_option or []),
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
        ),
    )
    output = output or settings.output
    sources = expand_inputs(
        inputs, recursive=recursive, results=results_folder(output), accepts=holds_tensors
    )
    batch = Batch(
        console=console,
        jobs=plan_jobs(sources, output, suffix_of=lambda _source: ".mp4"),
        plan_text=_plan_text,
        check=check_file,
        overwrite=overwrite,
        skip_existing=skip_existing,
        fail_fast=fail_fast,
        dry_run=dry_run,
    )
    raise typer.Exit(
        batch.run(lambda ready: _start(ready, options, console, compare=compare, dry_run=dry_run))
    )


def _parse_reference(text: str | None) -> Path | None:
    if text is None:
        return None
    reference = opt.parse_reference(text)
    if reference is None or reference.image is None:
        raise OptionError(f"--ref: {text!r} is no image file; latents have no frames to take")
    return reference.image


def _check_folder(folder: Path | None) -> Path | None:
    if folder is not None and not folder.is_dir():
        raise InputError(f"--refs: there is no folder {folder}")
    return folder


def _start(
    ready: Sequence[Job],
    options: DecodeOptions,
    console: Console,
    *,
    compare: bool,
    dry_run: bool,
) -> RunJob:
    """Load the model; the jobs go through it, or are only planned."""
    from refvid.workflows import decode as workflow

    if options.baseline:
        console.note("the plain decoder: no reference attention")
    elif options.reference is None and options.references is None:
        console.note("no --ref: decoding without a reference, which brings less back")
    with console.transfers() as on_transfer:
        try:
            sources = [job.source for job in ready]
            loaded = asking_for_licence(
                console, lambda: workflow.choose_decoder(options.model, sources, on_transfer)
            )
        except InputError:
            # None can be read: each job says what is wrong with its own.
            return lambda job: workflow.choose_decoder(options.model, [job.source])
    console.note(f"model {loaded.name}: {loaded.reason}")

    def run(job: Job) -> DecodePlan | DecodeReport:
        mine = replace(options, source=job.source, output=job.output)
        if compare:
            comparing.check_page(mine.output, overwrite=mine.overwrite)
        if dry_run:
            return workflow.plan_decode(mine, loaded)

        def on_plan(plan: DecodePlan) -> None:
            for name, words in _decisions(plan).items():
                console.note(f"{job.source.name}: {name} {words}")

        with console.progress(job.source.name) as on_progress:
            report = workflow.decode(mine, loaded, on_progress, on_plan)
        if compare:
            _compare_with_plain(mine, loaded, report, console)
        return report

    return run


def _compare_with_plain(
    options: DecodeOptions, loaded: LoadedBackbone, report: DecodeReport, console: Console
) -> None:
    """Decode once more without the reference, for a page beside the result."""
    from refvid.workflows import decode as workflow

    has_plain = loaded.backbone.plain() is not None
    with TemporaryDirectory(prefix="refvid-compare-") as folder:
        # Encoded alike: the page shows the difference between decoders, not between encoders.
        plain = Path(folder, options.output.name)
        without = replace(
            options, output=plain, reference=None, references=None, baseline=has_plain
        )
        with console.progress(f"{options.source.name}, without reference") as on_progress:
            workflow.decode(without, loaded, on_progress)
        comparing.write_comparison(
            console,
            plain,
            options.output,
            labels=("plain decoder" if has_plain else "without reference", "with reference"),
            frames=report.frames,
            overwrite=options.overwrite,
            rate=Fraction(report.plan.frame_rate),
        )


def _decisions(plan: DecodePlan) -> dict[str, object]:
    """What was decided about the latents, and why."""
    latents = plan.latents
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


def _plan_text(plan: DecodePlan) -> str:
    facts: dict[str, object] = {
        "input": plan.source,
        "output": plan.output,
        **_decisions(plan),
        "frames": plan.frames,
        "size": f"{plan.width}x{plan.height}",
        "reference": plan.reference,
        "model": f"{plan.model} ({plan.model_reason})",
        "device": f"{plan.device}, {plan.dtype}",
        "chunks": f"{plan.chunks} of {plan.chunk} frames",
        "tile": "off" if plan.tile is None else f"{plan.tile} pixels",
        "memory": f"about {format_bytes(plan.memory_bytes)}",
        "codec": f"{plan.codec}, {plan.pix_fmt}",
    }
    return facts_text(facts, plan.notes)
