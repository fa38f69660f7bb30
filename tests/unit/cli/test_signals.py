"""Being stopped from outside ends a run as an error does: with what is unfinished removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from refvid.cli.app import app
from refvid.cli.batch import Batch
from refvid.cli.console import Console
from refvid.cli.flags import BatchRules
from refvid.cli.signals import check_stopped, clean_up_when_stopped
from refvid.media.inputs import Job

PROJECT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent differently")


@pytest.fixture(autouse=True)
def _no_nohup() -> Iterator[None]:
    """What a terminal's program begins with; under `nohup` the tests' children would ignore it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


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


@pytest.fixture
def handlers() -> Iterator[None]:
    """The program's handlers, for the time of a test."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    clean_up_when_stopped()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def lose(name: str) -> None:
    """Be stopped in a place that turns any error into another, as C does that calls Python."""
    try:
        signal.raise_signal(getattr(signal, name))
    except BaseException:  # noqa: BLE001
        raise ValueError("could not determine the shape") from None


STOPS = [("SIGINT", KeyboardInterrupt), ("SIGTERM", SystemExit), ("SIGHUP", SystemExit)]


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(("name", "stop"), STOPS)
def test_a_lost_stop_ends_a_batch_all_the_same(name: str, stop: type[BaseException]) -> None:
    check_stopped()
    jobs = [Job(source=Path(each), output=Path(f"{each}.out")) for each in "ab"]
    batch = Batch(Console(), BatchRules(), jobs, check=lambda _source: None)
    begun = []
    with pytest.raises(stop):  # noqa: PT012
        for job in batch:
            with batch.attempt(job):
                begun.append(job)
                lose(name)
    assert begun == jobs[:1]
    assert batch.outcomes == []


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_lost_stop_is_no_bug(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    monkeypatch.setattr("refvid.cli.groups.load_settings", lambda: lose(name))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == code
    assert "bug" not in result.stderr
