"""`refvid evaluate`: measure a model on a folder of clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refvid.cli import options as opt


def evaluate(
    ctx: typer.Context,
    clips: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Clean clips to degrade and bring back.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Also write the report to a file.",
            rich_help_panel=opt.IO_PANEL,
        ),
    ] = None,
    frames: Annotated[
        int, typer.Option("--frames", metavar="N", min=3, help="Frames per clip.")
    ] = 17,
    max_clips: Annotated[
        int | None, typer.Option("--max-clips", metavar="N", min=1, help="At most so many clips.")
    ] = None,
    model: opt.Model = None,
    weights: opt.Weights = None,
    device: opt.Device = None,
    dtype: opt.DTypeOption = None,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Degrade clean clips, enhance them, and report the gain as a Markdown table."""
    console, settings = opt.start(ctx, quiet=quiet, verbose=verbose, debug=debug, as_json=as_json)
    from refvid.workflows.evaluate import EvaluateOptions, evaluate

    options = EvaluateOptions(
        clips=clips,
        model=opt.model_options(settings, model=model, weights=weights, device=device, dtype=dtype),
        frames=frames,
        output=output,
        max_clips=max_clips,
    )
    with console.progress("evaluate", unit="runs") as on_progress:
        report = evaluate(options, on_progress)
    if as_json:
        console.result_json(report.to_json())
    else:
        console.result(report.to_markdown())
