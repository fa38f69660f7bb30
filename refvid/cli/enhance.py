"""`refvid enhance`: words -> options -> the workflow, once per input -> paths or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refvid.cli import comparing, rebuilding
from refvid.cli import options as opt
from refvid.errors import OptionError

if TYPE_CHECKING:
    from refvid.cli.console import Console
    from refvid.workflows.enhance_options import EnhanceOptions


def enhance(
    ctx: typer.Context,
    inputs: rebuilding.Inputs,
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
    no_cut_detection: rebuilding.NoCutDetection = False,
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
    audio: rebuilding.Audio = "copy",
    subs: rebuilding.Subtitles = "copy",
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
        encoding=rebuilding.encoding_options(
            settings,
            codec=codec,
            crf=crf,
            pix_fmt=pix_fmt,
            encoder_option=encoder_option,
            audio=audio,
            subs=subs,
            no_metadata=no_metadata,
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
    image = options.reference and options.reference.image
    command = rebuilding.Command(
        console=console,
        options=options,
        workflow=lambda: _workflow(options, console),
        images=(image,) if image else (),
        recursive=recursive,
        compare=compare,
        skip_existing=skip_existing,
        fail_fast=fail_fast,
        dry_run=dry_run,
    )
    raise typer.Exit(command.run(inputs, output or settings.output))


def _workflow(options: EnhanceOptions, console: Console) -> rebuilding.Workflow[EnhanceOptions]:
    from refvid.workflows import enhance as workflow

    if options.reference is None:
        console.note("no --ref: decoding without a reference, which brings less back")
    return rebuilding.Workflow(
        load=lambda on_transfer: workflow.choose_backbone(options.model, on_transfer),
        plan=workflow.plan_enhance,
        run=workflow.enhance,
    )
