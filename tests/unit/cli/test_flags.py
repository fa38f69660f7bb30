"""Groups of flags: declared once, filled in, and handed on whole."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from refvid.cli.console import Console
from refvid.cli.enhance import enhance
from refvid.cli.groups import ENCODING_PANEL, IO_PANEL, PanelCommand, grouped
from refvid.cli.stylize import stylize


@dataclass(frozen=True, slots=True, kw_only=True)
class Toy:
    crf: Annotated[float | None, typer.Option("--crf", rich_help_panel=ENCODING_PANEL)] = None
    loud: Annotated[bool, typer.Option("--loud", rich_help_panel=IO_PANEL)] = False


got: list[Toy] = []


@grouped
def toy(console: Console, name: str, group: Toy, *, count: int = 1) -> None:
    """Play."""
    got.append(group)
    console.result(f"{name} {count} {console.json}")


@pytest.fixture
def run_toy():
    app = typer.Typer(rich_markup_mode=None)
    app.command(cls=PanelCommand)(toy)
    return lambda *words, **env: CliRunner().invoke(app, words, obj=Console(), env=env)


def test_a_group_becomes_options_and_comes_back_whole(run_toy):
    result = run_toy("me", "--loud", "--crf", "0", "--count", "3", "--json")
    assert result.stdout == "me 3 True\n"
    assert got[-1] == Toy(crf=0, loud=True)


def test_what_is_not_said_comes_from_the_settings(run_toy):
    run_toy("me", REFVID_CRF="12")
    assert got[-1] == Toy(crf=12)
    run_toy("me", "--crf", "3", REFVID_CRF="12")
    assert got[-1] == Toy(crf=3)


def test_scripts_come_last_in_the_help(run_toy):
    shown = run_toy("--help").stdout
    assert shown.index("--count") > shown.index("--json")  # it has no panel
    assert shown.index("--loud") < shown.index("--crf") < shown.index("--json")


def test_groups_are_shared():
    for command in (enhance, stylize):
        assert {"crf", "memory", "output", "as_json"} <= set(command.__annotations__)
