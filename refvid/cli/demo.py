"""`refvid demo`: the main job on the bundled sample, without any input of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refvid.cli import options as opt
from refvid.cli.console import format_duration
from refvid.models.registry import MINI


def demo(
    ctx: typer.Context,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER",
            help="Where the files go.",
            show_default=True,
            rich_help_panel=opt.IO_PANEL,
        ),
    ] = Path("demo"),
    overwrite: opt.Overwrite = False,
    model: opt.Model = None,
    device: opt.Device = None,
    dtype: opt.DTypeOption = None,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Degrade the bundled sample clip, enhance it, and show what was gained.

    Works offline, on any machine. Writes the degraded clip, the reference picture, the result and
    a side-by-side comparison.
    """
    console, settings = opt.start(ctx, quiet=quiet, verbose=verbose, debug=debug, as_json=as_json)
    from refvid.workflows.demo import DemoOptions, run_demo

    chosen = model or settings.model
    options = DemoOptions(
        output=output,
        overwrite=overwrite,
        model=opt.model_options(
            settings,
            # auto may fetch a gigabyte where there is a graphics card; a demo works offline.
            model=MINI if chosen == "auto" else chosen,
            device=device,
            dtype=dtype,
        ),
    )
    with console.progress("demo") as on_progress:
        report = run_demo(options, on_progress)
    if as_json:
        console.result_json(report.to_json())
        return
    for path in (report.input, report.reference, report.output, report.comparison):
        console.result(str(path))
    gain = report.psnr_after - report.psnr_before
    console.note(
        f"{report.frames} frames in {format_duration(report.seconds)}: PSNR "
        f"{report.psnr_before:.2f} dB before, {report.psnr_after:.2f} dB after ({gain:+.2f} dB)"
    )
    console.note(f"open {report.comparison} to see the difference")
