"""What was measured, as files: a table of frames (CSV) and a plot."""

from __future__ import annotations

import csv
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from refvid.errors import OptionError
from refvid.media.outputs import check_outputs
from refvid.media.partial_file import partial_file
from refvid.metrics.catalog import MEASURES
from refvid.metrics.options import MetricsOptions

if TYPE_CHECKING:
    from refvid.metrics.measure import MetricsReport

PLOT_SUFFIXES = (".png", ".svg")


def check_files(
    options: MetricsOptions, *, csv_file: Path | None, plot: Path | None, overwrite: bool
) -> None:
    """Refuse files that could not be written, before anything is measured.

    Raises:
        OptionError: A file would replace an input or the other one, the plot has an unknown
            format, or Matplotlib is missing.
        OutputError: A file exists already, or its folder does not.
    """
    files = [path for path in (csv_file, plot) if path is not None]
    if plot is not None:
        if plot.suffix.lower() not in PLOT_SUFFIXES:
            raise OptionError(f"Cannot plot to {plot}: use a name that ends in .png or .svg.")
        if find_spec("matplotlib") is None:
            raise OptionError(
                "Plots need matplotlib, not installed here. Run: pip install matplotlib"
            )
    inputs = [*options.distorted, options.reference, *filter(None, [options.mask])]
    check_outputs(files, inputs, overwrite=overwrite)


def write_csv(report: MetricsReport, path: Path, *, overwrite: bool) -> None:
    """Write a line per video and frame: file, frame, time [s] and the measures.

    A cell is empty where a frame has no value; equal frames have a PSNR of `inf`.

    Raises:
        OutputError: The file cannot be written.
    """
    with (
        partial_file(path, overwrite=overwrite) as partial,
        # File names on POSIX are bytes; this writes back exactly those that were read.
        partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["file", "frame", "time", *report.measures])
        for clip in report.clips:
            name = str(clip.source.path)
            for row in clip.rows():
                time = f"{row.pop('time'):.6f}"
                writer.writerow([name, row.pop("frame"), time, *map(_cell, row.values())])


def write_plot(report: MetricsReport, path: Path, *, overwrite: bool) -> None:
    """Draw a panel per measure with a curve per video, over the time.

    Matplotlib draws both formats; it is optional, because only this needs it.

    Raises:
        OutputError: The file cannot be written.
    """
    # Not pyplot: no window system, no state that outlives the call.
    from matplotlib.figure import Figure  # noqa: PLC0415 -- optional

    count = len(report.measures)
    figure = Figure(figsize=(9, 0.6 + 2.4 * count), layout="constrained")
    panels: Any = figure.subplots(count, squeeze=False, sharex=True)[:, 0]
    for name, panel in zip(report.measures, panels, strict=True):
        measure = MEASURES[name]
        for clip in report.clips:
            values = np.array(clip.values[name])
            values[np.isinf(values)] = np.nan  # equal frames: a gap
            panel.plot(clip.times, values, label=_legend_text(clip.source.path), linewidth=1)
        panel.set_ylabel(f"{measure.label} [{measure.unit}]" if measure.unit else measure.label)
        panel.grid(visible=True, alpha=0.3)
    panels[-1].set_xlabel("time [s]")
    if len(report.clips) > 1:
        panels[0].legend(fontsize="small")
    kind = path.suffix.lower()[1:]
    with partial_file(path, overwrite=overwrite) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters of file names that the font lacks
        # Without the date, equal measures give equal files.
        figure.savefig(partial, format=kind, metadata={"Date": None} if kind == "svg" else None)


def _legend_text(path: Path) -> str:
    """A file name as it is: not as a formula ($), not left out (_), and whatever its bytes."""
    text = path.name.encode("utf-8", "replace").decode()
    return " " + text.replace("$", r"\$")


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.8g}"
