"""Rows of a list -> commands with the values of all their flags.

The columns are the flags that the commands declare: there is no second list of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, get_args

from refvid.cli.groups import BATCH_PANEL, USAGE_ERROR, option_hints, over_settings
from refvid.cli.read_jobs import Row
from refvid.cli.slips import expand_home, refuse_no_file
from refvid.cli.task import Call
from refvid.documents import shown
from refvid.errors import OptionError
from refvid.settings import Settings

_WORDS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_OF_THE_LIST: Final = frozenset({"device"})
"""Flags of `refvid batch` itself, beside those about the batch."""


class Columns:
    """What a row for one command may say.

    Args:
        name: What the command is called.
        command: Typer's object for it.
        settings: What holds where a row does not say it.
    """

    # Any: Typer keeps the types of commands and parameters to itself.
    def __init__(self, name: str, command: Any, settings: Settings) -> None:
        self._name = name
        self._context = command.make_context(name, ["input"])
        self._parameters: dict[str, Any] = {}
        self._others: set[str] = set()
        for parameter in command.get_params(self._context):
            names = [word.lstrip("-") for word in parameter.opts if word.startswith("--")]
            is_of_list = getattr(parameter, "rich_help_panel", None) == BATCH_PANEL
            if parameter.param_type_name == "argument":
                self._parameters["input"] = parameter
            elif parameter.is_eager:  # --help
                continue
            elif is_of_list or _OF_THE_LIST & {*names}:
                self._others |= {*names}
            else:
                self._parameters |= dict.fromkeys(names, parameter)
        self._hints = option_hints(command.callback)
        defaults = {name: self._context.params[name] for name in self._hints}
        self._defaults = over_settings(command.callback, defaults, settings)
        self._known: dict[Any, Any] = {}

    @property
    def names(self) -> set[str]:
        """All of them but `command`."""
        return {*self._parameters}

    def call(self, cells: Mapping[str, Any], defaults: Mapping[str, Any]) -> Call:
        """Turn a row's cells, without `command`, into the command.

        Args:
            cells: By column.
            defaults: Values in place of the flags' own defaults.

        Raises:
            OptionError: There is no such column, or a value is not possible.
        """
        if "input" not in cells:
            raise OptionError("there is no input: give the file in the column input")
        values = {**self._defaults, **{k: v for k, v in defaults.items() if k in self._defaults}}
        for column, cell in cells.items():
            parameter = self._parameters.get(column)
            if parameter is None:
                raise OptionError(self._is_unknown(column))
            values[parameter.name] = self._value(column, parameter, cell)
        return Call(self._name, values)

    def _is_unknown(self, column: str) -> str:
        if column in self._others:
            return f"{column}: this holds for all jobs: give --{column} to refvid batch"
        near = get_close_matches(column, self._parameters, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{column}: refvid {self._name} has no such option{hint}"

    def _value(self, column: str, parameter: Any, cell: Any) -> Any:
        several = cell if isinstance(cell, list) else [cell]
        key = (parameter.name, *((type(each), each) for each in several))
        if key not in self._known:
            self._known[key] = self._convert(column, parameter, several)
        return self._known[key]

    def _convert(self, column: str, parameter: Any, several: list[Any]) -> Any:
        if getattr(parameter, "is_flag", False):
            return _truth(column, several)
        is_list = parameter.nargs != 1 or getattr(parameter, "multiple", False)
        if len(several) > 1 and not is_list:
            raise OptionError(f"{column} is given {len(several)} times: give it once")
        if any(isinstance(each, bool) for each in several):
            raise OptionError(f"{column}: {shown(several[0])} is no value for it")
        for each in several:
            _refuse_no_text(column, str(each))
        words = [expand_home(str(each)) for each in several]
        for word in words:
            refuse_no_file(word, parameter)
        try:
            value = parameter.process_value(self._context, words if is_list else words[0])
        except USAGE_ERROR as error:
            raise OptionError(f"{column}: {getattr(error, 'message', error)}") from error
        return self._as_declared(parameter.name, value)

    def _as_declared(self, name: str, value: Any) -> Any:
        """What Typer makes of a value before it calls a command."""
        if isinstance(value, tuple):
            return list(value)
        hint = self._hints[name]
        return Path(value) if isinstance(value, str) and Path in (hint, *get_args(hint)) else value


def _refuse_no_text(column: str, word: str) -> None:
    """Refuse what the system takes for no name, and what no command line can say."""
    try:
        is_text = b"\0" not in os.fsencode(word)
    except UnicodeError:  # half of a character, which JSON can spell
        is_text = False
    if not is_text:
        raise OptionError(f"{column}: {shown(word)} holds a character that no text has")


def _truth(column: str, several: list[Any]) -> bool:
    [cell, *others] = several
    value = cell if isinstance(cell, bool) else _WORDS.get(str(cell).strip().lower())
    if value is None or others:
        raise OptionError(f"{column}: {shown(cell)} is neither true nor false")
    return value


class CallReader:
    """Reads rows for any of the commands.

    Args:
        commands: Typer's objects, by name.
        settings: Of this machine.
    """

    def __init__(self, commands: Mapping[str, Any], settings: Settings) -> None:
        self._commands = commands
        self._settings = settings
        self._columns: dict[str, Columns] = {}

    def read(self, row: Row, defaults: Mapping[str, Any]) -> Call:
        """Turn a row into a command; `defaults` stand in for what it does not say.

        Raises:
            OptionError: It cannot be understood.
        """
        if row.problem:
            raise OptionError(row.problem)
        cells = dict(row.cells)
        name = str(cells.pop("command", "enhance"))
        if name not in self._commands:
            known = ", ".join(self._commands)
            raise OptionError(f"command: {shown(name)} is none of {known}")
        if name not in self._columns:
            self._columns[name] = Columns(name, self._commands[name], self._settings)
        return self._columns[name].call(cells, defaults)
