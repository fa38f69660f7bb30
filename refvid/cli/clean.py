"""`refvid clean`: what interrupted runs have left."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refvid.cli.console import Console
from refvid.cli.groups import grouped
from refvid.cli.readable import format_bytes, format_duration
from refvid.errors import InputError
from refvid.wording import counted

if TYPE_CHECKING:
    from refvid.media.unfinished_work import Leftover


@grouped
def clean(
    console: Console,
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER]...",
            help="Where results go.  [default: the current folder]",
            show_default=False,
        ),
    ] = None,
    *,
    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="Look into folders below folders.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove what is listed; finished frames are lost.")
    ] = False,
) -> None:
    """List what interrupted runs have left beside their results, or remove it.

    The same command as before goes on with it. What a running command uses is neither listed nor
    removed.

    \b
      refvid clean results/
      refvid clean -r /films --remove
    """
    from refvid.media.folders import is_folder
    from refvid.media.unfinished_work import find_leftovers

    places = folders or [Path()]
    for place in places:
        if not is_folder(place):
            raise InputError(f"{place}: there is no such folder")
    found = [
        leftover
        for place in places
        for leftover in find_leftovers(place, recursive=recursive, remove=remove)
    ]
    if console.json:
        documents = [{**asdict(one), "path": str(one.path)} for one in found]
        console.result_json({"leftovers": documents, "removed": remove})
        return
    for leftover in found:
        console.result(_line(leftover))
    total = format_bytes(sum(leftover.bytes for leftover in found))
    if not found:
        console.note("nothing is left of interrupted runs")
    elif remove:
        console.note(f"removed {counted(len(found), 'leftover')}, {total}")
    else:
        console.note(f"{counted(len(found), 'leftover')}, {total}: --remove removes them")


def _line(leftover: Leftover) -> str:
    what = "an unfinished result"
    if leftover.is_move:
        what = "images on their way to their places"
    elif leftover.output is not None:
        what = f"{leftover.output}, {counted(leftover.frames, 'frame')} finished"
    age = format_duration(leftover.age_s)
    return f"{leftover.path}: {what}, {format_bytes(leftover.bytes)}, {age} old"
