"""Files that other programs read: dependency groups, commit hooks, continuous integration."""

from __future__ import annotations

import os
import re
import tomllib
from typing import Any

import yaml

from tests.pages import PROJECT

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")


def read_yaml(name: str) -> Any:
    return yaml.safe_load((PROJECT / name).read_text(encoding="utf-8"))


def packages(group: str) -> set[str]:
    """Names in a dependency group and those that it includes."""
    found = set()
    for entry in PYPROJECT["dependency-groups"][group]:
        if isinstance(entry, dict):
            found |= packages(entry["include-group"])
        else:
            found.add(re.split(r"[<>=!~ \[]", entry)[0].lower())
    return found


def test_no_group_repeats_the_extra_that_is_installed_with_it() -> None:
    train = {
        re.split(r"[<>=]", name)[0]
        for name in PYPROJECT["project"]["optional-dependencies"]["train"]
    }
    assert "'.[train]' --group dev" in MAKEFILE
    assert not train & packages("dev")


def test_versions_that_the_tests_run_with_are_pinned() -> None:
    text = (PROJECT / "constraints.txt").read_text(encoding="utf-8")
    pinned = {name.lower() for name in re.findall(r"^([\w-]+)==", text, re.MULTILINE)}
    assert packages("dev") | packages("browser") <= pinned


def test_the_error_without_the_extra_names_its_packages() -> None:
    extra = PYPROJECT["project"]["optional-dependencies"]["train"]
    words = " ".join(re.split(r"[<>=]", name)[0] for name in extra)
    for file in ("refvid/cli/train.py", "refvid/training/engine.py"):
        assert f"pip install {words}" in (PROJECT / file).read_text(encoding="utf-8")


def test_a_clone_in_comfyui_asks_for_what_the_package_asks_for() -> None:
    lines = (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    asked = [line for line in lines if not line.startswith("#")]
    assert asked == PYPROJECT["project"]["dependencies"]


def test_hooks_run_what_make_runs() -> None:
    [local] = read_yaml(".pre-commit-config.yaml")["repos"]
    hooks = {hook["id"]: hook["entry"].split() for hook in local["hooks"]}
    assert local["repo"] == "local"
    for words in hooks.values():
        assert f"$(BIN)/{' '.join(words[:2]).removesuffix(' --force-exclude')}" in MAKEFILE
    programs = {words[0] for words in hooks.values()}
    assert programs == set(
        re.findall(r"^\t\$\(BIN\)/(ruff|mypy|lint-imports)", MAKEFILE, re.MULTILINE)
    )
    assert {program.replace("lint-imports", "import-linter") for program in programs} <= packages(
        "lint"
    )


def test_the_workflow_runs_every_python() -> None:
    jobs = read_yaml(".github/workflows/ci.yml")["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert {step["run"] for step in steps if "run" in step} == {
        ".ci/oldest",
        ".ci/run",
        "make test PYTHON=python",
    }
    assert os.access(PROJECT / ".ci" / "run", os.X_OK)
    tried = {step["with"]["python-version"] for step in jobs["all"]["steps"] if "with" in step}
    tried |= set(jobs["tests"]["strategy"]["matrix"]["python"])
    classifiers = " ".join(PYPROJECT["project"]["classifiers"])
    assert tried == set(re.findall(r"Python :: (3\.\d+)", classifiers))
    assert PYPROJECT["project"]["requires-python"] == f">={min(tried)}"


def test_a_report_of_a_bug_has_what_is_needed() -> None:
    form = read_yaml(".github/ISSUE_TEMPLATE/bug.yml")
    needed = [field for field in form["body"] if field["validations"]["required"]]
    labels = " ".join(field["attributes"]["label"] for field in needed)
    assert "`refvid doctor`" in labels
    assert "What you ran" in labels


def test_container_files_copy_what_is_there_and_not_ignored() -> None:
    ignored = (PROJECT / ".containerignore").read_text(encoding="utf-8")
    assert (PROJECT / ".dockerignore").read_text(encoding="utf-8") == ignored
    allowed = {line.removeprefix("!") for line in ignored.splitlines() if line.startswith("!")}
    for name in ("Containerfile", "Containerfile.cuda"):
        text = (PROJECT / name).read_text(encoding="utf-8")
        copied = {
            word
            for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE)
            for word in line.split()
        }
        assert copied == allowed
        assert all((PROJECT / word).exists() for word in copied)
