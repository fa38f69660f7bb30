"""Groups of flags -> options for Typer -> groups, filled in: what every command goes through."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial, wraps
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from refvid.cli.console import Console
from refvid.cli.slips import expand_home, habit, refuse_single_dash, refuse_slips
from refvid.errors import OptionError
from refvid.settings import KEYS, LogLevel, Settings, load_settings

try:
    from typer.exceptions import TyperException
except ImportError:  # before 0.29
    from click import ClickException as TyperException  # type: ignore[assignment]

USAGE_ERROR: type[TyperException] = TyperException
"""What Typer raises, and prints, where words are no option, argument or value."""

IO_PANEL = "Input and output"
RANGE_PANEL = "Part of the video"
REFERENCE_PANEL = "Reference"
MODEL_PANEL = "Model and machine"
ENCODING_PANEL = "Encoding"
BATCH_PANEL = "Batch and scripts"
_LAST_PANELS = (ENCODING_PANEL, BATCH_PANEL)

_batch = partial(typer.Option, rich_help_panel=BATCH_PANEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Talk:
    """What every command says, and how."""

    as_json: Annotated[bool, _batch("--json", help="Print one JSON object on stdout.")] = False
    quiet: Annotated[bool, _batch("-q", "--quiet", help="Only errors on stderr.")] = False
    verbose: Annotated[bool, _batch("-v", "--verbose", help="Say what is chosen and why.")] = False
    debug: Annotated[bool, _batch("--debug", help="Full log; tracebacks.")] = False

    def start(self, console: Console) -> Settings:
        """Set the console up and read this machine's settings."""
        flag: LogLevel | None = (
            "debug"
            if self.debug
            else "verbose"
            if self.verbose
            else "quiet"
            if self.quiet
            else None
        )
        console.start(flag or "normal", as_json=self.as_json)
        if self.quiet and self.verbose:
            raise OptionError("--quiet and --verbose exclude each other")
        settings = load_settings()
        if flag is None:
            console.start(settings.log_level, as_json=self.as_json)
        return settings


_GIVEN = (Console, ExitStack, typer.Context)
"""What a command takes beside flags."""

Begin = Callable[[Callable[..., Any], Mapping[str, Any], Console], None]
"""Takes a command, the values of all its flags under their names, and the console."""


def grouped(command: Callable[..., Any], begin: Begin | None = None) -> Callable[..., None]:
    """Make a command for Typer of one that takes groups.

    Args:
        command: The command.
        begin: What is to be done with it; None calls it.
    """
    hints = _hints_of(command)
    options: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if _is_group(hint):
            options += _expand(hint)
        elif hint not in _GIVEN:
            options.append(parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY))
    options += _expand(_Talk)
    options.sort(key=_panel_order)

    @wraps(command)
    def run(ctx: typer.Context, **values: Any) -> None:
        talk = _Talk(**{field.name: values.pop(field.name) for field in fields(_Talk)})
        settings = talk.start(ctx.obj)
        values = over_settings(command, values, settings)
        if begin is not None:
            begin(command, values, ctx.obj)
            return
        values = fill_groups(command, values, ctx.obj)
        for name, hint in hints.items():
            if hint is typer.Context:
                values[name] = ctx
        command(**values)

    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    parameters = [context, *options]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def over_settings(
    command: Callable[..., Any], values: Mapping[str, Any], settings: Settings
) -> dict[str, Any]:
    """Put this machine's settings where a flag of a group is not given; see `fill_groups`."""
    groups = filter(_is_group, _hints_of(inspect.unwrap(command)).values())
    flags = {field.name for group in groups for field in fields(group)}
    return {
        name: _over(settings, name, value) if name in flags else value
        for name, value in values.items()
    }


def fill_groups(
    command: Callable[..., Any],
    values: Mapping[str, Any],
    console: Console,
    stack: ExitStack | None = None,
) -> dict[str, Any]:
    """Give what a command takes, from the values of all its flags under their names.

    Args:
        command: The command.
        values: Of its flags.
        console: For commands that print.
        stack: For those that open what must be closed when all is done.
    """
    given = dict(values)
    filled: dict[str, Any] = {}
    for name, hint in _hints_of(command).items():
        if _is_group(hint):
            filled[name] = hint(**{field.name: given.pop(field.name) for field in fields(hint)})
        elif hint is Console:
            filled[name] = console
        elif hint is ExitStack:
            filled[name] = stack
    return {**given, **filled}


def option_hints(command: Callable[..., Any]) -> dict[str, Any]:
    """The types of a command's own flags, without those that every command has."""
    hints: dict[str, Any] = {}
    for name, hint in _hints_of(inspect.unwrap(command)).items():
        if _is_group(hint):
            hints |= get_type_hints(hint)
        elif hint not in _GIVEN:
            hints[name] = get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
    return hints


def values_of(group: Any) -> dict[str, Any]:
    """The flags of a group as filled in, under their names."""
    return {field.name: getattr(group, field.name) for field in fields(group)}


@cache
def _hints_of(command: Callable[..., Any]) -> Mapping[str, Any]:
    hints = get_type_hints(command, include_extras=True)
    hints.pop("return", None)
    return hints


def _is_group(hint: Any) -> bool:
    return isinstance(hint, type) and is_dataclass(hint)


def _expand(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]


def _panel_order(option: inspect.Parameter) -> int:
    """A group may have flags in two panels: these come last in the help of all commands."""
    declared = getattr(option.annotation, "__metadata__", (None,))[0]
    panel = getattr(declared, "rich_help_panel", None)
    return _LAST_PANELS.index(panel) + 1 if panel in _LAST_PANELS else 0


def _over(settings: Settings, name: str, value: Any) -> Any:
    return getattr(settings, name) if value in (None, "") and name in KEYS else value


class HelpfulGroup(TyperGroup):
    """A group of commands where `help NAME` is `NAME --help`."""

    # Typer keeps the types of contexts and formatters to itself, hence Any here and below.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args[:1] == ["help"]:
            args = [*(word for word in args if word != "help"), "--help"]
        return super().parse_args(ctx, args)


class PanelCommand(TyperCommand):
    """A command that knows usual slips, and whose help groups options by panel, as plain text."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words, after a look at what they may be meant for.

        Raises:
            OptionError: See `refvid.cli.slips`.
        """
        args = [expand_home(word) for word in args]
        parameters = self.get_params(ctx)
        known = [name for parameter in parameters for name in parameter.opts]
        if not ctx.resilient_parsing:
            refuse_single_dash(args, known)
        try:
            values, _, order = self.make_parser(ctx).parse_args(args=[*args])
        except USAGE_ERROR as error:
            unknown = getattr(error, "option_name", "") if hasattr(error, "possibilities") else ""
            if (sentence := habit(unknown, ctx.info_name, known)) is not None:
                raise OptionError(f"{unknown}: {sentence}") from error
            raise
        if not (ctx.resilient_parsing or any(parameter.is_eager for parameter in order)):
            refuse_slips(ctx.info_name, values, order, parameters)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then one section per panel, then the rest."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        rest: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            row = param.get_help_record(ctx)
            if row is None:
                continue
            panel = getattr(param, "rich_help_panel", None)
            if param.param_type_name == "argument":
                # Without the Python type, which tells a user nothing.
                sections["Arguments"].append((row[0].partition(" <")[0], row[1]))
            elif panel:
                sections.setdefault(panel, []).append(row)
            else:
                rest.append(row)
        sections["Options"] = rest
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
