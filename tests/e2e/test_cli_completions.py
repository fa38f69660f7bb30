"""Completion scripts are up to date, and a shell gets completions through them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from refvid.cli.completions import FILES, completion_script

FOLDER = Path(__file__).parents[2] / "completions"


@pytest.mark.parametrize("shell", FILES)
def test_scripts_are_up_to_date(shell):
    committed = (FOLDER / FILES[shell]).read_text(encoding="utf-8")
    assert committed == completion_script(shell), "stale: run make completions"


def ask(words: str, index: int) -> list[str]:
    """What bash would be told."""
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.argv = ['refvid']; from refvid.cli.app import main; main()",
        ],
        env={
            **os.environ,
            "_REFVID_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(index),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.split()


def test_commands_options_and_choices():
    assert {"enhance", "demo", "info", "doctor"} <= set(ask("refvid ", 1))
    assert ask("refvid enh", 1) == ["enhance"]
    assert ask("refvid enhance --ref-f", 2) == ["--ref-fit"]
    assert ask("refvid enhance --hdr p", 3) == ["passthrough"]
    assert ask("refvid enhance cl", 2) == []  # bash then completes file names


@pytest.mark.skipif(shutil.which("bash") is None or os.name != "posix", reason="needs bash")
def test_the_script_works_in_bash(tmp_path):
    program = tmp_path / "refvid"
    program.write_text(
        f"#!/bin/sh\nexec '{sys.executable}' -c \"import sys; sys.argv[0] = 'refvid'; "
        'from refvid.cli.app import main; main()" "$@"\n'
    )
    program.chmod(0o755)
    script = (
        f"source '{FOLDER / 'refvid.bash'}'\n"
        "COMP_WORDS=(refvid enhance --ref-f); COMP_CWORD=2\n"
        "_refvid_completion refvid\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "--ref-fit\n"
