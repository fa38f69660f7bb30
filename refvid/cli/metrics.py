"""`refvid metrics`: words -> measures -> a table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import refvid
from refvid import api
from refvid.cli import flags, model_flags
from refvid.cli.console import Console
from refvid.cli.groups import IO_PANEL, REFERENCE_PANEL, grouped
from refvid.cli.wildcards import expand_wildcards
from refvid.metrics.catalog import MEASURES

if TYPE_CHECKING:
    from refvid.metrics.measure import MetricsReport


@grouped
def metrics(
    console: Console,
    distorted: Annotated[
        list[Path],
        typer.Argument(
            metavar="DISTORTED",
            help="Videos, images or image sequences to measure.",
            show_default=False,
        ),
    ],
    *,
    reference: Annotated[
        Path,
        typer.Option(
            "--reference",
            metavar="CLEAN",
            help="The clean video: of the same size, with the same frames.",
            rich_help_panel=REFERENCE_PANEL,
            show_default=False,
        ),
    ],
    measures: Annotated[
        str,
        typer.Option(
            "--measures",
            metavar="NAME,...",
            help=f"Out of {', '.join(MEASURES)}; or all that can be had: all.",
            rich_help_panel=REFERENCE_PANEL,
        ),
    ] = "psnr,ssim",
    mask: Annotated[
        Path | None,
        typer.Option(
            "--mask",
            metavar="FILE",
            help="Measure where this image or video is white.",
            rich_help_panel=REFERENCE_PANEL,
        ),
    ] = None,
    frames: flags.Frames = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write the measures of every frame.",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw the measures over time: .png or .svg.",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    overwrite: flags.Overwrite = False,
    machine: model_flags.Machine,
) -> None:
    """Measure videos against a clean one, frame by frame.

    Frames are aligned by their times, or by their order where one side is an image sequence;
    where they cannot be, the first mismatch is named. Pixels are compared as RGB. The table shows
    means over the frames; PSNR is given as the mean of the frames' PSNRs, and of the mean squared
    error of all frames.

    \b
      refvid metrics enhanced.mp4 --reference clean.mp4
      refvid metrics a.mp4 b.mp4 --reference clean.mp4 --measures psnr,ms-ssim --plot curves.svg
    """
    with console.progress("metrics") as on_progress:
        report = api.measure(
            *expand_wildcards(distorted),
            reference=reference,
            measures=measures,
            mask=mask,
            frames=frames,
            csv=csv,
            plot=plot,
            device=machine.device or "auto",
            overwrite=overwrite,
            on_progress=on_progress,
        )
    if console.json:
        console.result_json({"refvid": refvid.__version__, **report.to_json(), "exit_code": 0})
    else:
        console.result(*_table(report))


def _table(report: MetricsReport) -> list[str]:
    """Aligned columns: file, frames, and the mean of each measure."""
    header, digits = ["file", "frames"], {}
    for name in report.measures:
        measure = MEASURES[name]
        header.append(f"{measure.label} [{measure.unit}]" if measure.unit else measure.label)
        digits[name] = measure.digits
        if name == "psnr":
            header.append("PSNR of mean MSE [dB]")
            digits["psnr_of_mean_mse"] = measure.digits
    rows = [header]
    for clip in report.clips:
        summary = clip.summary()
        cells = [_cell(summary[name], places) for name, places in digits.items()]
        rows.append([str(clip.source.path), str(clip.frames), *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [text.rjust(width) for text, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return lines


def _cell(value: float | None, digits: int) -> str:
    if value is None:
        return "-"
    return "inf" if math.isinf(value) else f"{value:.{digits}f}"
