"""One HTML file with everything in it: data, pictures, previews, style and program."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import IO, Any, Final

from refvid.media.partial_file import partial_file

SCRIPTS: Final = (
    "data.js",
    "player.js",
    "stage.js",
    "pointer.js",
    "controls.js",
    "charts.js",
    "strip.js",
    "ballot.js",
    "keys.js",
    "main.js",
)
"""In the order in which they run; they share one function's scope."""

_PIECE: Final = 3 << 20
"""Bytes per element of base64: a multiple of 3, far below what browsers take as one text."""

_KEY: Final = b"refvid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The embedded video of one clip."""

    path: Path
    mime_type: str


def write_page(
    output: Path,
    *,
    title: str,
    document: dict[str, Any],
    details: dict[str, Any],
    hide_details: bool,
    previews: Sequence[Preview],
    overwrite: bool = False,
) -> None:
    """Write the page; it appears under its name when it is whole.

    Args:
        output: The file.
        title: Plain text; any characters.
        document: What the page shows at once; JSON types.
        details: What a blind page shows after the votes: names and measures; JSON types.
        hide_details: Store `details` so that nobody reads them by accident. Whoever wants to can
            undo it: it keeps an honest rater blind and is no lock.
        previews: One per clip. They are read in pieces: memory does not grow with them.
        overwrite: Replace an existing file.

    Raises:
        OutputError: The page exists or cannot be written.
    """
    style, script = _asset("page.css"), _script()
    policy = (
        "default-src 'none'; img-src data:; media-src blob:; "
        f"script-src {_hash(script)}; style-src {_hash(style)}"
    )
    pieces = {
        "TITLE": html.escape(title.encode(errors="replace").decode()),
        # The browser itself refuses whatever would load from elsewhere.
        "POLICY": html.escape(policy),
        "STYLE": style,
        "SCRIPT": script,
        "DOCUMENT": _script_json(document),
        "DETAILS": _hidden(details) if hide_details else _script_json(details),
    }
    with (
        partial_file(output, overwrite=overwrite) as partial,
        partial.open("w", encoding="utf-8", newline="\n") as file,
    ):
        for text, name in _template():
            file.write(text)
            if name == "PREVIEWS":
                for clip, preview in enumerate(previews):
                    _write_preview(file, clip, preview)
            elif name:
                file.write(pieces[name])


def _asset(name: str) -> str:
    return resources.files("refvid.comparison.assets").joinpath(name).read_text(encoding="utf-8")


def _script() -> str:
    body = "\n".join(_asset(name) for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{body}\n}})();'


def _template() -> Iterator[tuple[str, str]]:
    """Give the template's text up to each `{{NAME}}`, and that name; an empty one at the end."""
    for part in _asset("page.html").split("}}"):
        text, _, name = part.partition("{{")
        yield text, name


def _script_json(value: Any) -> str:
    # `</script>` in a file name must not end the element that it stands in.
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _hidden(value: Any) -> str:
    plain = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    mixed = bytes(byte ^ _KEY[index % len(_KEY)] for index, byte in enumerate(plain))
    return base64.b64encode(mixed).decode()


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _write_preview(file: IO[str], clip: int, preview: Preview) -> None:
    with preview.path.open("rb") as source:
        while piece := source.read(_PIECE):
            file.write(f'<script type="text/plain" data-clip="{clip}">')
            file.write(base64.b64encode(piece).decode())
            file.write("</script>\n")
