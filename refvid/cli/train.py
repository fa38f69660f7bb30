"""`refvid train`: train the bundled model's network on your own videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refvid.cli import options as opt


def train(
    ctx: typer.Context,
    videos: Annotated[Path, typer.Argument(metavar="FOLDER", help="Videos to learn from.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER",
            help="Where weights and state go.",
            rich_help_panel=opt.IO_PANEL,
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="FOLDER",
            help="Still pictures to learn from as well.",
            rich_help_panel=opt.IO_PANEL,
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            metavar="NAME",
            help="A file name to leave out; may be repeated.",
            rich_help_panel=opt.IO_PANEL,
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option("--minutes", metavar="N", min=0, help="Stop after so long.")
    ] = 60.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the output folder stopped.")
    ] = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Train the small model on your own videos."""
    console, _ = opt.start(ctx, quiet=quiet, verbose=verbose, debug=debug)
    from refvid.workflows.train import TrainOptions, train

    options = TrainOptions(
        videos=videos,
        images=images,
        output=output,
        exclude=tuple(exclude or ()),
        minutes=minutes,
        resume=resume,
    )
    with console.progress("train", unit="s") as on_progress:
        report = train(options, on_progress)
    console.result(str(report.weights))
