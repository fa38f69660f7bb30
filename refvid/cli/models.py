"""`refvid models list | download | verify | path | remove`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

import refvid
from refvid.checkpoints.catalog import CATALOG, Catalog
from refvid.cli.console import Console
from refvid.cli.exit_codes import batch_exit_code
from refvid.cli.groups import HelpfulGroup, PanelCommand, grouped
from refvid.cli.licence import asking_for_licence
from refvid.cli.readable import format_bytes

if TYPE_CHECKING:
    from refvid.checkpoints.manage import ModelStatus, Removal, Verdict

_HELP = {"help_option_names": ["-h", "--help"]}

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `refvid models list` shows it.")]


class _ModelsGroup(HelpfulGroup):
    """Knows the catalogue, so that a test can bring its own."""

    catalog: Catalog = CATALOG


def make_app(catalog: Catalog = CATALOG) -> typer.Typer:
    """The group of commands about the models of a catalogue."""
    app = typer.Typer(
        name="models",
        cls=type("ModelsGroup", (_ModelsGroup,), {"catalog": catalog}),
        context_settings=_HELP,
        no_args_is_help=True,
        help="List, download, check and remove the models' weights.",
        rich_markup_mode=None,
    )
    for name, command in (
        ("list", list_),
        ("download", download),
        ("verify", verify),
        ("path", path),
        ("remove", remove),
    ):
        app.command(name, cls=PanelCommand, context_settings=_HELP)(command)
    return app


@grouped
def list_(
    console: Console,
    ctx: typer.Context,
) -> None:
    """Show the models, and which are here."""
    from refvid.checkpoints.cache import Cache
    from refvid.checkpoints.manage import list_models

    models = list_models(_catalog(ctx), Cache.default())
    if console.json:
        console.result_json(_document(models=[model.to_json() for model in models]))
    else:
        console.result(*_table(models))


@grouped
def download(
    console: Console,
    ctx: typer.Context,
    name: Name,
    accept_license: Annotated[
        bool,
        typer.Option(
            "--accept-license",
            "--accept-licence",
            help="Agree to the terms of a model that has some, without being asked.",
        ),
    ] = False,
) -> None:
    """Fetch a model, with what it is built on, and check it.

    Prints its path. Terms that must be accepted are shown and asked for, once. A download that
    was stopped goes on where it stopped. HF_ENDPOINT, HF_HUB_OFFLINE, HF_HUB_CACHE and HF_TOKEN
    mean what they mean elsewhere.
    """
    from refvid.checkpoints.cache import Cache
    from refvid.checkpoints.manage import download_model

    catalog = _catalog(ctx)
    with console.transfers() as on_transfer:
        model = asking_for_licence(
            console,
            lambda: download_model(
                name, catalog, Cache.default(), on_transfer, accept_licence=accept_license
            ),
            catalog=catalog,
        )
    if console.json:
        console.result_json(_document(model=model.to_json()))
    else:
        console.result_path(str(model.path))


@grouped
def verify(
    console: Console,
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Models; all that are here without any."),
    ] = None,
) -> None:
    """Check what is here, byte by byte."""
    from refvid.checkpoints.cache import Cache
    from refvid.checkpoints.manage import verify_models

    with console.transfers() as on_transfer:
        verdicts = verify_models(names or (), _catalog(ctx), Cache.default(), on_transfer)
    code = batch_exit_code(verdict.error for verdict in verdicts if verdict.error)
    for verdict in verdicts:
        if verdict.error is not None:
            console.error(verdict.error)
        elif not console.json:
            console.result(_verdict_text(verdict))
    if not verdicts:
        console.note("nothing is downloaded")
    if console.json:
        console.result_json(
            {
                **_document(files=[verdict.to_json() for verdict in verdicts]),
                "exit_code": code,
            }
        )
    raise typer.Exit(code)


@grouped
def path(
    console: Console,
    ctx: typer.Context,
    name: Name,
) -> None:
    """Print where a model lies."""
    from refvid.checkpoints.cache import Cache
    from refvid.checkpoints.manage import find_model

    found = find_model(name, _catalog(ctx), Cache.default())
    if console.json:
        console.result_json(_document(name=name, path=str(found)))
    else:
        console.result_path(found)


@grouped
def remove(
    console: Console,
    ctx: typer.Context,
    name: Name,
) -> None:
    """Delete a model's files, without asking.

    That is its download and what refvid has made of it. A file that another program has
    put into the hub's cache stays.
    """
    from refvid.checkpoints.cache import Cache
    from refvid.checkpoints.manage import remove_model

    removal = remove_model(name, _catalog(ctx), Cache.default())
    if console.json:
        console.result_json(_document(**removal.to_json()))
        return
    for removed in removal.removed:
        console.result_path(removed)
    console.note(_removal_text(removal))


def _catalog(ctx: typer.Context) -> Catalog:
    group: Any = ctx.parent.command if ctx.parent else None
    catalog: Catalog = group.catalog
    return catalog


def _document(**values: Any) -> dict[str, Any]:
    return {"refvid": refvid.__version__, **values}


def _table(models: list[ModelStatus]) -> list[str]:
    rows = [
        (
            model.name,
            "-" if model.size is None else format_bytes(model.size),
            model.state,
            model.licence,
            model.description,
        )
        for model in models
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]


def _verdict_text(verdict: Verdict) -> str:
    return f"ok  {verdict.name}  {verdict.path}"


def _removal_text(removal: Removal) -> str:
    if removal.removed:
        text = f"{removal.name}: {format_bytes(removal.freed_bytes)} freed"
    else:
        text = f"{removal.name}: there was nothing to remove"
    if removal.kept:
        text += f"; {', '.join(removal.kept)} stays, as refvid did not download it"
    return text


app = make_app()
