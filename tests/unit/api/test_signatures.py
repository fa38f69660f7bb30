"""Keywords of functions are the flags of commands, and the package offers them lightly."""

import inspect
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest
from typer.main import get_command

import refvid
from refvid.cli.app import app
from refvid.settings import Settings

COMMANDS: Any = get_command(app)
OF_A_PROGRAM = {
    "--skip-existing", "--recursive", "--fail-fast", "--dry-run", "--shard", "--ray", "--progress",
    "--json", "--quiet", "--verbose", "--debug", "--compare", "--votes",
    "--container",
}  # fmt: skip
SETTINGS = {field.name: field.default for field in fields(Settings)}
MODEL = inspect.signature(refvid.load_model).parameters


def flags_of(name: str) -> dict[str, object]:
    """The flags of a command under their names in Python, with their defaults."""
    found: dict[str, object] = {}
    for param in COMMANDS.commands[name].params:
        flag = next((word for word in param.opts if word.startswith("--")), None)
        if flag is None or flag in OF_A_PROGRAM:
            continue
        keyword = flag.removeprefix("--").replace("-", "_")
        default = SETTINGS.get(keyword) if param.default is None else param.default
        if keyword.startswith("no_"):
            keyword, default = keyword.removeprefix("no_"), not default
        found["encoder_options" if keyword == "encoder_option" else keyword] = default
    return found


@pytest.mark.parametrize(
    ("function", "command", "given"),
    [
        ("enhance", "enhance", {"source", "output"}),
        ("stylize", "stylize", {"source", "output", "model"}),
        ("decode", "decode", {"source", "output"}),
        ("encode", "encode", {"source", "output"}),
        ("compare", "compare", {"videos"}),
        ("measure", "metrics", {"distorted"}),
    ],
)
def test_keywords_are_the_flags(function, command, given):
    parameters = inspect.signature(getattr(refvid, function)).parameters
    flags = flags_of(command)
    own = set(parameters) - given - {"on_progress"}
    assert own <= set(flags)
    assert set(flags) - own - {"output"} <= (set(MODEL) if "model" in parameters else set())
    for name in own:
        default = parameters[name].default
        shown = flags[name]
        if default is inspect.Parameter.empty:
            assert command == "metrics"
            assert name == "reference"
        elif default == ():
            assert shown is None, name
        elif (command, name) == ("compare", "metrics"):
            assert shown is None
        else:
            assert default == shown, name


def test_how_a_model_runs_is_said_with_the_words_of_the_flags():
    flags = flags_of("enhance")
    for name, parameter in MODEL.items():
        if name != "on_transfer":
            assert parameter.default == flags[name], name


@pytest.mark.parametrize(
    "function", ["enhance", "stylize", "decode", "encode", "compare", "measure"]
)
def test_every_keyword_is_explained(function):
    doc = inspect.getdoc(getattr(refvid, function)) or ""
    if "See `enhance`, as for the others" in doc:
        doc += inspect.getdoc(refvid.enhance) or ""
    for name in inspect.signature(getattr(refvid, function)).parameters:
        assert f"    {name}: " in doc, name


def test_functions_load_nothing_before_they_work():
    code = (
        "import sys, refvid\n"
        "for name in dir(refvid): name == 'RefDecoderVAE' or getattr(refvid, name)\n"
        "refvid.errors.InputError\n"
        "import refvid.comparison.options\n"
        "assert callable(refvid.compare)\n"
        "assert not {'torch', 'numpy', 'av', 'PIL'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_not_there():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = refvid.nonsense
    assert {"enhance", "RefDecoderVAE", "errors"} <= set(dir(refvid))
