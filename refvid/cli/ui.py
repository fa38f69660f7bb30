"""`refvid ui`: the commands as a page in the browser."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args, get_origin

import typer

from refvid.cli.console import Console, error_document
from refvid.cli.file_errors import named_error
from refvid.cli.groups import grouped, over_settings

if TYPE_CHECKING:
    from refvid.page.options import Option
    from refvid.page.tasks import Task

_ELSEWHERE: Final = frozenset(
    {
        *("ref", "refs", "style", "keyframe", "preview"),  # the page has these in other ways
        *("output", "overwrite", "resume", "baseline"),
        # Files that a browser has no business with.
        *("weights", "c2pa_cert", "c2pa_key", "c2pa_alg"),
    }
)
_FILES: Final = frozenset({"ref_video", "mask"})
_SHORT: Final = frozenset({"crf", "fps", "hdr"})
_OTHER_HELP: Final = {
    "model": "Which one rebuilds; auto takes the one that fits.",
    "device": "Where it runs: auto, cpu, cuda, cuda:N, mps or xpu.",
    "codec": "Of the result.",
}
"""Of options that are less here than on the command line."""


@grouped
def ui(
    console: Console,
    *,
    root: Annotated[
        Path,
        typer.Option(
            "--root",
            metavar="FOLDER",
            help="Results go there, and its files can be chosen by their paths.",
        ),
    ] = Path(),
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Where to listen. Any other than this lets others use the page, without a "
            "password.",
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Of that address.")] = 7860,
) -> None:
    """Open a page in the browser: enhance, stylize and decode by dropping files.

    Needs Gradio, see `refvid doctor`. Ctrl-C ends it.
    """
    from refvid.page.serve import serve

    serve(
        root,
        host,
        port,
        _tasks,
        describe=lambda error, output: error_document(named_error(error, output))["message"],
        on_ready=lambda address: console.result(f"The page is at {address} (Ctrl-C ends it)"),
    )


def _tasks() -> list[Task]:
    from refvid import api
    from refvid.cli.decode import decode
    from refvid.cli.enhance import enhance
    from refvid.cli.stylize import stylize
    from refvid.page.tasks import Task

    return [
        Task(
            name="Enhance",
            run=api.enhance,
            pictures={"ref": "References"},
            options=_options(enhance, api.enhance),
        ),
        Task(
            name="Stylize",
            run=api.stylize,
            pictures={"style": "Paintings", "keyframe": "Frames that you have painted"},
            options=_options(stylize, api.stylize),
            mark="stylized",
        ),
        Task(
            name="Decode",
            run=api.decode,
            pictures={"ref": "References"},
            options=_options(decode, api.decode),
            reads_video=False,
        ),
    ]


def _options(command: Callable[..., Any], function: Callable[..., Any]) -> tuple[Option, ...]:
    """The flags of a command that its function, or `load_model`, has as keywords."""
    from refvid import api
    from refvid.settings import load_settings

    known = {*inspect.signature(function).parameters, *inspect.signature(api.load_model).parameters}
    flags = inspect.signature(command).parameters
    usual = over_settings(
        command,
        {
            name: None if flag.default is flag.empty else flag.default
            for name, flag in flags.items()
        },
        load_settings(),
    )
    options = []
    for name, flag in flags.items():
        hint, *others = get_args(flag.annotation) or (flag.annotation,)
        for declared in others:
            # The first word of `Option("-o", "--output")` is in its field for the default.
            words = [declared.default, *(declared.param_decls or ())]
            long = next((word for word in words if str(word).startswith("--")), None)
            if long is not None:
                option = _option(long, declared, hint, usual[name])
                if option.keyword in known - _ELSEWHERE:
                    options.append(option)
    return tuple(options)


def _option(word: str, declared: Any, hint: Any, default: Any) -> Option:
    """Describe a flag: `--no-x` is the keyword x, as the library has it."""
    from refvid.media.encoding import CODEC_PRESETS
    from refvid.models.registry import names
    from refvid.page.options import Option

    keyword = word.removeprefix("--").replace("-", "_")
    types = {each for each in get_args(hint) or (hint,) if each is not type(None)}
    literal = next((each for each in (hint, *types) if get_origin(each) is Literal), None)
    choices = get_args(literal) if literal else ()
    kind: Any = "choice" if choices else "words"
    if keyword in _FILES:
        kind = "file"
    elif keyword == "model":
        kind, choices, default = "choice", ("auto", *names("restore")), default or "auto"
    elif keyword == "codec":
        kind, choices = (
            "choice",
            tuple(name for name in CODEC_PRESETS if name not in ("png", "mjpeg")),
        )
    elif bool in types:
        kind = "truth"
    elif int in types or float in types:
        kind = "whole" if int in types else "number"
    if kind == "choice" and default and default not in choices:
        choices = (*choices, default)  # from the config file
    return Option(
        keyword=keyword.removeprefix("no_"),
        label=keyword.upper() if keyword in _SHORT else keyword.replace("_", " ").capitalize(),
        help=_OTHER_HELP.get(keyword) or declared.help.partition("  [")[0],
        panel=declared.rich_help_panel or "Other",
        kind=kind,
        default=default,
        is_negated=keyword.startswith("no_"),
        choices=choices,
        low=declared.min,
        high=declared.max,
        example=declared.metavar or "",
    )
