"""`refvid compare`: see the difference between videos, alone or in a blind vote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import refvid
from refvid import api
from refvid.cli import flags
from refvid.cli.console import Console
from refvid.cli.groups import ENCODING_PANEL, IO_PANEL, grouped
from refvid.cli.wildcards import expand_wildcards
from refvid.errors import InputError
from refvid.wording import counted

if TYPE_CHECKING:
    from refvid.comparison.votes import Preference

_SHARE_PANEL = "Pictures for sharing"
_VOTE_PANEL = "Blind votes"


@grouped
def compare(
    console: Console,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="VIDEO",
            help="Two or more videos of one scene, or folders of them; with --votes, files of "
            "votes.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE.html",
            help="The page.  [default: {stem}_compare.html beside the first, unless only "
            "--montage or --sheet is asked for]",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            metavar="CLEAN",
            help="The clean original, to measure against.  [default: the first video]",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="A,B,...",
            help="Names for the videos.  [default: from their paths]",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            metavar="NAME,...",
            help="Measures for curves and table, as for refvid metrics, or none.  "
            "[default: psnr,ssim]",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    overwrite: flags.Overwrite = False,
    rate: flags.Rate = None,
    montage: Annotated[
        Path | None,
        typer.Option(
            "--montage",
            metavar="FILE.mp4",
            help="Also a video with all of them side by side and the sound of the first.",
            rich_help_panel=_SHARE_PANEL,
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet",
            metavar="FILE.png",
            help="Also a picture with the places that differ most, enlarged.",
            rich_help_panel=_SHARE_PANEL,
        ),
    ] = None,
    blind: Annotated[
        bool,
        typer.Option(
            "--blind",
            help="Hide names, shuffle sides, and ask which looks better.",
            rich_help_panel=_VOTE_PANEL,
        ),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            help="Shuffle the same way again.  [default: anew each time]",
            rich_help_panel=_VOTE_PANEL,
        ),
    ] = None,
    votes: Annotated[
        bool,
        typer.Option(
            "--votes",
            help="Tally the given files of votes instead.",
            rich_help_panel=_VOTE_PANEL,
        ),
    ] = False,
    part: flags.Range,
    preview_height: Annotated[
        int,
        typer.Option(
            "--preview-height",
            metavar="PX",
            help="Largest height of a video in the page.",
            rich_help_panel=ENCODING_PANEL,
        ),
    ] = 720,
    preview_codec: Annotated[
        Literal["h264", "vp9"],
        typer.Option(
            "--preview-codec",
            metavar="h264|vp9",
            help="vp9 is for browsers without H.264, as some on Linux; it takes longer.",
            rich_help_panel=ENCODING_PANEL,
        ),
    ] = "h264",
) -> None:
    """Put videos on each other in a page: slider, curves, and where they differ most.

    The page is one file that opens from disk, without a network.

    \b
      refvid compare input.mp4 result.mp4 -o report.html
      refvid compare a.mp4 b.mp4 c.mp4 --reference clean.mp4 --sheet sheet.png
      refvid compare ours/ theirs/ --blind -o vote.html
      refvid compare --votes votes-*.json
    """
    inputs = expand_wildcards(inputs)
    if votes:
        _tally(console, inputs)
        return
    with console.progress("compare") as on_progress:
        report = api.compare(
            *inputs,
            output=output,
            reference=reference,
            labels=() if labels is None else labels,
            metrics="psnr,ssim" if metrics is None else metrics,
            montage=montage,
            sheet=sheet,
            blind=blind,
            seed=seed,
            start=part.start,
            end=part.end,
            frames=part.frames,
            preview=part.preview,
            preview_height=preview_height,
            preview_codec=preview_codec,
            rate=rate,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    for note in report.notes:
        console.note(f"note: {note}")
    if console.json:
        console.result_json({"refvid": refvid.__version__, **report.to_json(), "exit_code": 0})
    else:
        for path in report.outputs.values():
            console.result_path(path)


def _tally(console: Console, files: list[Path]) -> None:
    from refvid.comparison.votes import CONFIDENCE, read_votes, tally

    given = [vote for file in files for vote in read_votes(file)]
    preferences = tally(given)
    votes = sum(row.decided + row.ties for row in preferences)
    if doubled := len(given) - votes:
        console.note(f"{counted(doubled, 'vote')} came more than once: each counts once")
    if console.json:
        document: dict[str, Any] = {
            "refvid": refvid.__version__,
            "votes": votes,
            "confidence": CONFIDENCE,
            "interval": "wilson",
            "preferences": [row.to_json() for row in preferences],
            "exit_code": 0,
        }
        console.result_json(document)
    elif not preferences:
        raise InputError("the files hold no votes")
    else:
        console.result(*_table(preferences))


def _table(preferences: list[Preference]) -> list[str]:
    """A Markdown table; the interval is Wilson's."""
    rows = [
        "| preferred | to | votes for | against | no difference | rate | 95 % interval (Wilson) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in preferences:
        rate, interval = row.rate, row.interval
        share = "-" if rate is None else f"{100 * rate:.1f} %"
        bounds = (
            "-" if interval is None else f"{100 * interval[0]:.1f} % to {100 * interval[1]:.1f} %"
        )
        rows.append(
            f"| {row.first} | {row.second} | {row.wins} | {row.losses} | {row.ties} | {share} "
            f"| {bounds} |"
        )
    return rows
