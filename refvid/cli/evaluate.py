"""`refvid evaluate`: measure a model on a folder of clips: restoring, restyling or tokens."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from refvid.cli import model_flags
from refvid.cli.console import Console
from refvid.cli.groups import IO_PANEL, grouped
from refvid.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from refvid.evaluation.clips import Report
    from refvid.progress import ProgressCallback

_RESTORE_PANEL = "With --task restore"
_STYLE_PANEL = "With --task style"
_TOKENS_PANEL = "With --task tokens"


@grouped
def evaluate(
    console: Console,
    ctx: typer.Context,
    clips: Annotated[Path, typer.Argument(metavar="FOLDER", help="Clean clips to work on.")],
    *,
    task: Annotated[
        Literal["restore", "style", "tokens"],
        typer.Option(
            "--task",
            metavar="restore|style|tokens",
            help="Degrade the clips and bring them back, restyle them, or turn them into tokens.",
        ),
    ] = "restore",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Also write the report to a file.",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames",
            metavar="N",
            min=3,
            help="Frames per clip at most.  [default: 49, with --task style 17]",
        ),
    ] = None,
    max_clips: Annotated[
        int | None, typer.Option("--max-clips", metavar="N", min=1, help="At most so many clips.")
    ] = None,
    cases: Annotated[
        str | None,
        typer.Option(
            "--cases",
            metavar="NAMES",
            help="What to judge by, with commas between: exact, far, photo, several, none, "
            "unrelated, soft, harmless.  [default: all]",
            rich_help_panel=_RESTORE_PANEL,
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="FILE",
            help="Compare with an earlier report, written with -o FILE.json.",
            rich_help_panel=_RESTORE_PANEL,
        ),
    ] = None,
    styles: Annotated[
        Path | None,
        typer.Option(
            "--styles",
            metavar="FOLDER",
            help="Style images.",
            rich_help_panel=_STYLE_PANEL,
        ),
    ] = None,
    styles_per_clip: Annotated[
        int,
        typer.Option(
            "--styles-per-clip",
            metavar="N",
            min=1,
            help="Styles for each clip, spread over all.",
            rich_help_panel=_STYLE_PANEL,
        ),
    ] = 4,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet",
            metavar="FILE",
            help="Also draw clips, styles and results into an image.",
            rich_help_panel=_STYLE_PANEL,
        ),
    ] = None,
    twin: Annotated[
        str | None,
        typer.Option(
            "--twin",
            metavar="NAME|PATH",
            help="The tokenizer without a reference.  [default: mini-reftok-twin]",
            rich_help_panel=_TOKENS_PANEL,
        ),
    ] = None,
    choice: model_flags.ModelChoice,
) -> None:
    """Measure a model on a folder of clips, and report as Markdown tables.

    --task restore degrades clean clips, enhances them with right, poor and no references, and
    reports which bars for gain and harmlessness are met. --task style restyles
    them, and reports how near they come to the style and how much of structure and stability they
    keep, next to the input and to two colour transfers. --task tokens compares a tokenizer with
    its twin that sees no reference, and with video codecs at the same bits.
    """
    if task != "tokens" and twin is not None:
        raise OptionError("--twin goes with --task tokens")
    if task != "style" and (styles is not None or sheet is not None):
        raise OptionError("--styles and --sheet go with --task style")
    if task != "restore" and (cases is not None or against is not None):
        raise OptionError("--cases and --against go with --task restore")
    if task == "style" and styles is None:
        raise OptionError("--task style needs a folder of style images: --styles FOLDER")
    # The flag itself: the choice has the machine's default in its place.
    if task == "style" and ctx.params["model"] is not None:
        raise OptionError("--task style has one model: leave out --model, or give --weights")
    options = choice.parse()
    run: Callable[[ProgressCallback], Report]
    if styles is not None:
        from refvid.evaluation.style import StyleEvaluateOptions, evaluate_style

        style_options = StyleEvaluateOptions(
            clips=clips,
            styles=styles,
            styles_per_clip=styles_per_clip,
            model=options,
            frames=17 if frames is None else frames,
            max_clips=max_clips,
            output=output,
            sheet=sheet,
        )
        run = partial(evaluate_style, style_options)
    elif task == "tokens":
        from refvid.evaluation.tokens import TokenEvaluateOptions, evaluate_tokens
        from refvid.models.registry import MINI_REFTOK_TWIN

        if options.weights is not None:
            raise OptionError("--task tokens takes weights with --model PATH: leave out --weights")
        token_options = TokenEvaluateOptions(
            clips=clips,
            model=options if ctx.params["model"] is not None else replace(options, model="auto"),
            twin=twin or MINI_REFTOK_TWIN,
            frames=49 if frames is None else frames,
            max_clips=max_clips,
            output=output,
        )
        run = partial(evaluate_tokens, token_options)
    else:
        from refvid.evaluation.cases import CASES, check_cases
        from refvid.evaluation.protocol import EvaluateOptions
        from refvid.evaluation.protocol import evaluate as evaluate_restoring

        restore_options = EvaluateOptions(
            clips=clips,
            model=options,
            cases=tuple(CASES) if cases is None else check_cases(cases.split(",")),
            frames=49 if frames is None else frames,
            max_clips=max_clips,
            output=output,
            against=against,
        )
        run = partial(evaluate_restoring, restore_options)
    with console.progress("evaluate", unit="run") as on_progress:
        report = run(on_progress)
    if console.json:
        console.result_json(report.to_json())
    else:
        console.result(*report.to_markdown().split("\n"))
