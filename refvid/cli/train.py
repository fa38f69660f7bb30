"""`refvid train`: train a backbone's decoder on your own videos."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refvid.cli import flags as flag
from refvid.cli.console import Console
from refvid.cli.exit_codes import exit_code_of_signal
from refvid.cli.groups import IO_PANEL, grouped
from refvid.errors import CheckpointUnavailable, OptionError
from refvid.models.registry import MINI, names

if TYPE_CHECKING:
    from refvid.training.config import TrainConfig

*_OTHERS, _LAST = names("restore")
LENGTH_PANEL = "Length"
CONFIG_PANEL = "Recipe"


@grouped
def train(
    console: Console,
    videos: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Videos to learn from.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="Folder of the run; with --export the weights file.",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="FOLDER",
            help="Still pictures to learn from as well.",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            metavar="NAME",
            help="restore, style: repaint clips, or tokens.  [default: restore]",
            rich_help_panel=CONFIG_PANEL,
        ),
    ] = None,
    styles: Annotated[
        Path | None,
        typer.Option(
            "--styles",
            metavar="FOLDER",
            help="Paintings, for --task style.",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    triplets: Annotated[
        Path | None,
        typer.Option(
            "--triplets",
            metavar="FOLDER",
            help="Known results, for --task style: content/NAME, style/NAME, stylised/NAME.",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    valid_styles: Annotated[
        list[str] | None,
        typer.Option(
            "--valid-styles",
            metavar="NAME",
            help="A style to hold out; may be repeated.  [default: a tenth of them]",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    valid: Annotated[
        Path | None,
        typer.Option(
            "--valid",
            metavar="FOLDER",
            help="Held-out videos.  [default: a tenth of the sources]",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    latents: Annotated[
        Path | None,
        typer.Option(
            "--latents",
            metavar="FOLDER",
            help="Saved latents, each with a picture of its name, for every second batch.",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            metavar="NAME",
            help="A file name to leave out; may be repeated.",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="TOML or YAML with any part of the recipe.",
            rich_help_panel=CONFIG_PANEL,
        ),
    ] = None,
    words: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One value of the recipe, as in optimizer.rate=1e-4; may be repeated.",
            rich_help_panel=CONFIG_PANEL,
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            metavar="NAME",
            help=f"{', '.join(_OTHERS)} or {_LAST}; {', '.join(names('style'))} for --task style; "
            f"{', '.join(names('tokens'))} for --task tokens.  [default: {MINI}]",
            rich_help_panel=CONFIG_PANEL,
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="NAME|PATH",
            help="Weights to begin with; the optimiser starts afresh.",
            rich_help_panel=CONFIG_PANEL,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="Of all draws.", rich_help_panel=CONFIG_PANEL),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            metavar="N",
            min=1,
            help="Planned length in steps.",
            rich_help_panel=LENGTH_PANEL,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            metavar="N",
            help="Planned length in minutes.  [default: 60, of mini]",
            rich_help_panel=LENGTH_PANEL,
        ),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            "--max-minutes",
            metavar="N",
            help="Save and stop after so long, whatever is planned.",
            rich_help_panel=LENGTH_PANEL,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on where the output folder stopped.",
            rich_help_panel=LENGTH_PANEL,
        ),
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="RUN",
            help="Train nothing: write the weights of a run's newest checkpoint.",
            rich_help_panel=IO_PANEL,
        ),
    ] = None,
    overwrite: flag.Overwrite = False,
) -> None:
    """Train a decoder on your own videos, or go on training one.

    On several graphics cards or machines:
    accelerate launch -m refvid train FOLDER -o RUN ...
    """
    is_main = os.environ.get("RANK", "0") == "0"
    if not is_main and console.level != "debug":
        console.start("quiet", as_json=console.json)
    if output is None and (config is None or export is not None):
        raise OptionError("--output is missing: the folder of the run, or the file to export to.")
    if export is not None and output is not None:
        _export(console, export, output, overwrite=overwrite)
        return
    flags = {
        "task": task,
        "backbone": backbone,
        "output": output,
        "init": init,
        "seed": seed,
        "data": {
            "videos": videos,
            "images": images,
            "valid": valid,
            "styles": styles,
            "triplets": triplets,
            "valid_styles": tuple(valid_styles) if valid_styles else None,
            "exclude": tuple(exclude) if exclude else None,
        },
        "latents": {"folder": latents},
        "run": {"steps": steps, "minutes": minutes, "max_minutes": max_minutes},
    }
    _train(console, _read_config(config, _said(flags), words or [], resume=resume), resume=resume)


def _export(console: Console, run: Path, output: Path, *, overwrite: bool) -> None:
    if not run.is_dir():
        raise CheckpointUnavailable(f"--export: there is no folder {run}")
    from refvid.training.export import export_run

    written = export_run(run, output, overwrite=overwrite)
    if console.json:
        console.result_json({"weights": str(written)})
    else:
        console.result_path(written)


def _read_config(
    file: Path | None, flags: dict[str, Any], words: list[str], *, resume: bool
) -> TrainConfig:
    try:
        from refvid.training.read_config import SAVED_CONFIG, build_config
    except ImportError as error:
        raise OptionError(
            f"Training needs more packages ({error}): pip install accelerate pydantic pyyaml"
        ) from error
    saved = None
    if resume:
        output = flags.get("output") or build_config(file=file, flags=flags, words=words).output
        saved = Path(output) / SAVED_CONFIG
    return build_config(
        file=file,
        saved=saved if saved is not None and saved.is_file() else None,
        flags=flags,
        words=words,
    )


def _train(console: Console, config: TrainConfig, *, resume: bool) -> None:
    from refvid.training.train import train

    unit = "second" if config.run.steps is None else "step"
    with console.progress("train", unit=unit) as on_progress:
        report = train(config, on_progress, resume=resume)
    if report.is_main:
        if not report.finished:
            console.note(f"stopped at step {report.steps}; --resume goes on from there")
        if console.json:
            console.result_json(report.to_json())
        else:
            console.result_path(report.weights)
    if report.signal is not None:
        raise typer.Exit(exit_code_of_signal(report.signal))


def _said(flags: dict[str, Any]) -> dict[str, Any]:
    """Only what was given on the command line."""
    said = {}
    for key, value in flags.items():
        kept = _said(value) if isinstance(value, dict) else value
        if kept is not None and kept != {}:
            said[key] = kept
    return said
