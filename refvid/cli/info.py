"""`refvid info`: what a video, picture or file of latents is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refvid import api
from refvid.cli.console import Console
from refvid.cli.groups import grouped


@grouped
def info(
    console: Console,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A video, a picture, saved latents or tokens.")
    ],
) -> None:
    """Show what a file is made of.

    Of a video or picture: size, frame rate, duration, colours, tracks and tags. Of saved latents:
    keys, axes, scale, statistics, what they decode to, and how sure that is.
    """
    from refvid.media.folders import is_file
    from refvid.media.origin_marks import describe_origin
    from refvid.media.video_info import VideoInfo

    found = api.info(file)
    facts = found.to_json()
    if isinstance(found, VideoInfo) and is_file(file):
        facts["provenance"] = describe_origin(file, found.metadata)
    if console.json:
        console.result_json(facts)
        return
    console.result(*_lines(facts))


def _lines(facts: dict[str, object], indent: str = "") -> list[str]:
    lines = []
    for name, value in facts.items():
        label = f"{indent}{name.replace('_', ' ')}:"
        if isinstance(value, dict) and value:
            lines += [label, *_lines(value, indent + "  ")]
        elif isinstance(value, list) and not all(isinstance(entry, int) for entry in value):
            lines += [label, *(f"{indent}  {_entry(entry)}" for entry in value)]
        else:
            lines.append(f"{label:<25} {_word(value)}")
    return lines


def _entry(entry: object) -> str:
    """One track of several, on one line."""
    if not isinstance(entry, dict):
        return str(entry)
    return ", ".join(f"{name.replace('_', ' ')} {_word(value)}" for name, value in entry.items())


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None or value in ("", [], {}) else str(value)
