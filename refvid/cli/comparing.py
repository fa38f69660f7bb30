"""`--compare`: the page of `refvid compare` beside a result."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refvid.cli.console import Console
    from refvid.media.inputs import Job
    from refvid.rebuild.options import RebuildOptions


def page_beside(output: Path) -> Path:
    """Name the page of a result; a sequence of images has one in its folder."""
    from refvid.media.file_name import fitting_name
    from refvid.media.sequence import is_pattern

    if is_pattern(output):
        return output.with_name("compare.html")
    return output.with_name(fitting_name(output.stem, "_compare.html"))


def check_page(job: Job, *, overwrite: bool) -> None:
    """Raise OutputError, before any work, where the page of a result could not be written."""
    from refvid.media.outputs import check_output

    # The folder of a result may be about to be made.
    check_output(
        page_beside(job.output), overwrite=job.may_replace(overwrite), may_make_folder=True
    )


def compare_with_input(console: Console, job: Job, options: RebuildOptions, frames: int) -> None:
    """Write the page of a rebuilt video."""
    write_comparison(
        console,
        job.source,
        job.output,
        labels=("input", "result"),
        frames=frames,
        start=options.range.start,
        overwrite=job.may_replace(options.overwrite),
        rate=options.sequence_rate,
    )


def write_comparison(
    console: Console,
    before: Path,
    result: Path,
    *,
    labels: tuple[str, str],
    frames: int,
    overwrite: bool,
    start: Fraction | int | None = None,
    rate: Fraction | None = None,
) -> None:
    """Compare a result with what it was made from, or with another way to make it.

    Args:
        console: Hears where the page is.
        before: A video that shows at least as many frames from there on.
        result: The result; the page lies beside it.
        labels: What the two are called.
        frames: How many frames the result has.
        overwrite: Replace an existing page.
        start: Where in `before` the result begins.
        rate: Frame rate where both are image sequences.
    """
    from refvid.comparison.compare import MOST_FRAMES, compare
    from refvid.comparison.options import CompareOptions
    from refvid.media.frame_range import FrameRange

    options = CompareOptions(
        sources=(before, result),
        page=page_beside(result),
        labels=labels,
        range=FrameRange(start=start, frames=min(frames, MOST_FRAMES)),
        excerpts=(result,),
        measures=("psnr",),
        sequence_rate=rate,
        overwrite=overwrite,
    )
    with console.progress(f"compare {result.name}") as on_progress:
        report = compare(options, on_progress)
    if frames > MOST_FRAMES:
        console.note(f"note: the page shows the first {MOST_FRAMES} of {frames} frames")
    for note in report.notes:
        console.note(f"note: {note}")
    console.note(f"comparison: {options.page}")
