"""What README shows exists."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from refvid import errors
from refvid.cli.app import app
from refvid.cli.exit_codes import BUG_EXIT_CODE, SIGTERM_EXIT_CODE
from refvid.settings import KEYS

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(?:sh|bash)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SHOWN = re.findall(r"(?:^|\$\(|`)refvid ([^`\n)#]+)", "\n".join(BLOCKS), re.MULTILINE)
PROGRAM: Any = get_command(app)
COMMANDS = PROGRAM.commands


@pytest.mark.parametrize("words", SHOWN)
def test_commands_parse(words):
    name, *rest = shlex.split(words.split(">")[0])
    if name.startswith("-"):
        assert name in {"--version", "--help"}
        return
    command = COMMANDS[name]
    context = command.make_context(f"refvid {name}", rest)
    context.close()


def test_readme_shows_the_main_command():
    assert any(words.startswith("enhance ") for words in SHOWN)


def test_option_table_is_whole():
    table = README.split("### Options of `enhance`")[1].split("\n## ")[0]
    known = {opt for param in COMMANDS["enhance"].params for opt in param.opts}
    shown = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", table)) - {"--help"}
    assert shown == known - {"-h", "--help", "inputs"}


def test_exit_code_table_is_whole():
    table = set(map(int, re.findall(r"^\| (\d+) \|", README, re.MULTILINE)))
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    ours = {cls.exit_code for cls in classes if issubclass(cls, errors.RefvidError)}
    ours |= {0, BUG_EXIT_CODE, SIGTERM_EXIT_CODE}
    ours |= {errors.BATCH_EXIT_CODE, errors.INTERRUPTED_EXIT_CODE}
    assert table == ours


def test_every_setting_is_there():
    for key in KEYS:
        assert f"`REFVID_{key.upper()}`" in README
        assert re.search(rf"`{key} = ", README)


def test_make_targets_exist():
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    used = set(
        re.findall(r"\bmake ([a-z]+)", "\n".join([*BLOCKS, *re.findall(r"`[^`\n]+`", README)]))
    )
    assert {"demo", "test"} <= used <= targets


def test_mentioned_files_exist():
    for name in ("completions", "constraints.txt", ".ci/run", "LICENSE"):
        assert (PROJECT / name).exists()


def test_links_within_the_readme():
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", README):
        assert (PROJECT / target).exists()


def test_module_runs():
    run = subprocess.run(
        [sys.executable, "-m", "refvid", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"refvid \d+\.\d+\.\d+\S*\n", run.stdout)
