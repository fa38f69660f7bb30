"""What the texts show exists: commands and their options, files, scripts, links."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from typing import Any

import pytest
from typer.main import get_command

from refvid.cli.app import app
from tests.pages import PAGES, PROJECT, Page, page

PROGRAM: Any = get_command(app)
COMMANDS = PROGRAM.commands
SPELLINGS = {"--accept-licence"}
EVERYWHERE = {"-h", "--help", "-V", "--version", "--install-completion", "--show-completion"}
SHOWN = [(one.name, words) for one in PAGES for words in one.commands()]
PYTHON = [(one.name, code) for one in PAGES for code in one.blocks("python")]


def options_of(command: Any) -> set[str]:
    """What a command takes, with those of the commands below it."""
    own = {opt for param in command.params for opt in (*param.opts, *param.secondary_opts)}
    below = getattr(command, "commands", {}).values()
    return {opt for opt in own if opt.startswith("-")}.union(*map(options_of, below))


ALL_OPTIONS = options_of(PROGRAM) | EVERYWHERE


@pytest.mark.parametrize(("where", "words"), SHOWN)
def test_commands_parse(where: str, words: str) -> None:
    name, *rest = shlex.split(words)
    if name.startswith("-"):
        assert name in EVERYWHERE
        return
    command = COMMANDS[name]
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    if rest in (["--help"], ["-h"]):
        return
    command.make_context(f"refvid {name}", rest).close()


@pytest.mark.parametrize("one", PAGES, ids=lambda one: one.name)
def test_commands_within_the_text(one: Page) -> None:
    for code in one.inline():
        words = code.split()
        if words[0] != "refvid" or len(words) == 1 or words[1] == "COMMAND":
            continue
        flags = {word.partition("=")[0] for word in words[1:] if word.startswith("-")}
        if words[1].startswith("-"):
            assert flags <= EVERYWHERE
        else:
            assert flags <= options_of(COMMANDS[words[1]]) | EVERYWHERE, code


@pytest.mark.parametrize("one", PAGES, ids=lambda one: one.name)
def test_options_within_the_text(one: Page) -> None:
    for code in one.inline():
        if code.startswith("-") and not code.startswith("---"):
            shown = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", code))
            assert shown <= ALL_OPTIONS, code


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"demo", "info", "doctor", "enhance"}))
def test_a_guide_has_the_options_of_its_command(name: str) -> None:
    """Those that `enhance` shares are on its page, which has them all."""
    own = options_of(COMMANDS[name]) - options_of(COMMANDS["enhance"]) - EVERYWHERE
    guide = {"clean": "resume"}.get(name, name)
    spelled = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", page(f"docs/{guide}.md").text))
    assert {option for option in own if option.startswith("--")} - SPELLINGS <= spelled


def test_the_options_of_enhance_are_whole() -> None:
    table = page("docs/enhance.md").text.split("## Options")[1].split("\n## ")[0]
    known = {opt for param in COMMANDS["enhance"].params for opt in param.opts}
    shown = set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", table)) - {"--help"}
    assert shown == known - {"-h", "--help", "inputs"}


def test_readme_shows_the_main_commands() -> None:
    shown = {words.split()[0] for words in page("README.md").commands()}
    assert {"enhance", "stylize", "decode", "info", "doctor", "evaluate"} == shown


@pytest.mark.parametrize("one", PAGES, ids=lambda one: one.name)
def test_shell_code_is_valid(one: Page) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    for code in one.blocks("sh", "bash"):
        run = subprocess.run([bash, "-n"], input=code, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(("where", "code"), PYTHON)
def test_python_code_is_valid(where: str, code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("refvid"):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names)


def test_make_targets_exist() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    code = "\n".join(code for one in PAGES for code in (*one.blocks("sh", "bash"), *one.inline()))
    used = set(re.findall(r"^make ([a-z]+)", code, re.MULTILINE))
    assert {"demo", "test"} <= used <= targets


def test_what_pip_is_asked_for_exists() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    code = "\n".join(code for one in PAGES for code in (*one.blocks("sh", "bash"), *one.inline()))
    extras = set(re.findall(r"pip install [^\n]*'\.\[(\w+)\]'", code))
    groups = set(re.findall(r"--group (\w+)", code))
    assert extras <= set(project["project"]["optional-dependencies"])
    assert groups <= set(project["dependency-groups"])
    shown = {extra for row in page("docs/install.md").table("command", "brings")
             for extra in re.findall(r"\[(\w+)\]", row[0])}  # fmt: skip
    assert shown == set(project["project"]["optional-dependencies"])


def test_nothing_is_said_to_be_on_pypi() -> None:
    """The name is not there: pip would not find it, or find another program."""
    files = [
        path
        for folder in ("refvid", "tests", "docs", "benchmarks", "completions", ".github", ".ci")
        for path in (PROJECT / folder).rglob("*")
        if path.suffix in {".py", ".md", ".yml", ".txt", ""} and path.is_file()
    ]
    files += [path for path in PROJECT.glob("*") if path.suffix in {".md", ".toml", ".txt"}]
    wrong = re.compile(r"pip install '?refvid\b|\brefvid\[\w")
    found = [path.name for path in files if wrong.search(path.read_text("utf-8", "replace"))]
    assert found == []


def test_scripts_exist_with_their_options() -> None:
    code = "\n".join(code for one in PAGES for code in (*one.blocks("sh", "bash"), *one.inline()))
    code = code.replace("\\\n", " ")
    shown = re.findall(r"python (?:-m )?(benchmarks[/.]\w+)(?:\.py)?([^\n]*)", code)
    assert len(shown) > 10
    for name, words in shown:
        path = PROJECT / name.replace(".", "/")
        file = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        source = file.read_text(encoding="utf-8")
        for option in set(re.findall(r"(?<![\w-])--[a-z][\w-]*", words)) - {"--help"}:
            assert f'"{option}"' in source, f"{name} {option}"


@pytest.mark.parametrize("one", PAGES, ids=lambda one: one.name)
def test_links_lead_somewhere(one: Page) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", one.text):
        path, _, anchor = target.partition("#")
        file = (one.path.parent / path).resolve() if path else one.path
        assert file.exists(), target
        if anchor:
            assert anchor in _anchors(file.read_text(encoding="utf-8")), target


def _anchors(text: str) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("one", PAGES, ids=lambda one: one.name)
def test_files_that_are_named_exist(one: Page) -> None:
    start = r"(?:refvid|tests|benchmarks|docs|completions|\.ci|\.github)/"
    for code in one.inline():
        if re.fullmatch(rf"{start}[\w./-]*", code):
            assert (PROJECT / code).exists(), code


def test_every_page_is_in_the_index() -> None:
    index = page("docs/README.md")
    for one in PAGES:
        if one.name.startswith("docs/") and one is not index:
            assert f"]({one.path.name})" in index.text


def test_the_picture_shows_what_there_is() -> None:
    picture = (PROJECT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    package = PROJECT / "refvid"
    code = "\n".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    names = re.findall(r'font-weight="bold"[^>]*>([A-Za-z_]+)(?:\.[a-z_]+)?<', picture)
    assert {"find_jobs", "prepare", "Session", "create_video"} < set(names)
    for name in set(names) - {"stdout"}:
        assert re.search(rf"^(?:def|class) {name}\b", code, re.MULTILINE), name
    places = re.findall(r"\b\w+/\w+\.py", picture)
    assert len(places) > 10
    assert all((package / place).is_file() for place in places)


def test_module_runs() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "refvid", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"refvid \d+\.\d+\.\d+\S*\n", run.stdout)
