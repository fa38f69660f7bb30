"""`refvid demo`: the main job on the bundled sample, without any input of the user's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from refvid.cli import flags, model_flags
from refvid.cli.console import Console
from refvid.cli.groups import IO_PANEL, grouped
from refvid.cli.readable import format_duration
from refvid.models.registry import MINI


@grouped
def demo(
    console: Console,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER",
            help="Where the files go.",
            show_default=True,
            rich_help_panel=IO_PANEL,
        ),
    ] = Path("demo"),
    overwrite: flags.Overwrite = False,
    choice: model_flags.BriefChoice,
) -> None:
    """Degrade the bundled sample clip, enhance it, and show what was gained.

    Works offline, on any machine. Writes the degraded clip, the reference picture, the result and
    a side-by-side comparison.
    """
    from refvid.evaluation.demo import DemoOptions, run_demo

    model = choice.parse()
    # auto may fetch a gigabyte where there is a graphics card; a demo works offline.
    model = replace(model, model=MINI if model.model == "auto" else model.model)
    options = DemoOptions(output=output, overwrite=overwrite, model=model)
    with console.progress("demo") as on_progress:
        report = run_demo(options, on_progress)
    if console.json:
        console.result_json(report.to_json())
        return
    for path in (report.input, report.reference, report.output, report.comparison):
        console.result_path(path)
    gain = report.psnr_after - report.psnr_before
    console.note(
        f"{report.frames} frames in {format_duration(report.seconds)}: PSNR "
        f"{report.psnr_before:.2f} dB before, {report.psnr_after:.2f} dB after ({gain:+.2f} dB)"
    )
    console.note(f"open {report.comparison} to see the difference")
