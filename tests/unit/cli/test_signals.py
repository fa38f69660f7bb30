"""Being stopped from outside ends a run as an error does: with what is unfinished removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent differently")

SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from refvid.cli.signals import clean_up_when_stopped
from refvid.media.partial_file import partial_file
clean_up_when_stopped()
with partial_file(Path(sys.argv[1]), overwrite=False) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), int(sys.argv[2]))
    time.sleep(0.01)
    print("still here")
"""


def run(output: Path, number: int, *before: str) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-c", SCRIPT, str(output), str(int(number))]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=PROJECT, timeout=60
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "results"
    path.mkdir()
    return path


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_nothing_unfinished_is_left(folder: Path, name: str, code: int) -> None:
    ended = run(folder / "out.txt", getattr(signal, name))
    assert ended.returncode == code, ended.stderr
    assert list(folder.iterdir()) == []


def test_nohup_goes_on(folder: Path) -> None:
    ended = run(folder / "out.txt", signal.SIGHUP, "nohup")
    assert ended.returncode == 0, ended.stderr
    assert "still here" in ended.stdout
    assert [path.name for path in folder.iterdir()] == ["out.txt"]


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
@pytest.mark.parametrize("module", ["typer", "refvid.cli.enhance", "refvid.settings"])
def test_it_can_be_stopped_while_it_begins(module: str, name: str, code: int) -> None:
    """Before there is a command, there is nothing to clean up and no reason for a traceback."""
    script = f"""
import os, signal, sys
class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.{name})
sys.meta_path.insert(0, Stop())
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["refvid", "doctor"]
from refvid.__main__ import main
main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=PROJECT
    )
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
