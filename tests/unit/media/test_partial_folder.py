"""A sequence is whole or not there, whenever its writer is killed or interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refvid.errors import OutputError
from refvid.media.journal import has_journal
from refvid.media.leftovers import remove_leftovers
from refvid.media.partial_folder import PartialFolder

NAMES = [f"f_{number:04d}.png" for number in range(5)]
FILE_OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}

pytestmark = pytest.mark.skipif(os.name != "posix", reason="forks and kills its writers")


def write_sequence(output: Path) -> None:
    folder = PartialFolder(output, create_folder=True)
    try:
        for name in NAMES:
            (folder.path / name).write_text(f"new {name}")
        folder.publish(NAMES, overwrite=True)
    finally:
        folder.discard()


def in_child(work: Callable[[], None]) -> int:
    """Do something in a process of its own: its exit code, or minus the signal that ended it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it has threads; the child uses none
        child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 -- this process is a copy of the tests' own
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Disturbance:
    """Does something before the file operation `at` of this process, once that is set."""

    def __init__(self, then: Callable[[], None]) -> None:
        self.at: int | None = None
        self._then = then
        sys.addaudithook(self._count)

    def _count(self, event: str, _arguments: Any) -> None:
        if self.at is None or event not in FILE_OPERATIONS:
            return
        self.at -= 1
        if self.at == -1:
            self._then()


def killed_at(work: Callable[[], None], at: int) -> int:
    """Do something in a process that is killed before its file operation `at`; how it ended."""

    def disturbed() -> None:
        Disturbance(lambda: os.kill(os.getpid(), signal.SIGKILL)).at = at
        work()

    return in_child(disturbed)


def interrupt() -> None:
    raise KeyboardInterrupt


def contents(folder: Path) -> dict[str, str]:
    """What a user sees in a folder."""
    if not folder.exists():
        return {}
    return {path.name: path.read_text() for path in folder.iterdir() if path.name[0] != "."}


def reset(folder: Path, before: dict[str, str]) -> None:
    for name in set(contents(folder)) - set(before):
        (folder / name).unlink()
    for name, text in before.items():
        (folder / name).write_text(text)


NEW = {name: f"new {name}" for name in NAMES}
OLD = {name: f"old {name}" for name in NAMES}
BESIDE = {"notes.txt": "mine"}


@pytest.fixture(params=["no folder", "empty", "beside", "over older ones"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder for a sequence, and what is in it before."""
    folder = tmp_path / "shots"
    before: dict[str, str] = {}
    if request.param != "no folder":
        folder.mkdir()
    if request.param == "beside":
        before = BESIDE
    if request.param == "over older ones":
        before = BESIDE | OLD
    for name, text in before.items():
        (folder / name).write_text(text)
    return folder, before


def test_all_or_nothing_wherever_it_is_killed(place: tuple[Path, dict[str, str]]) -> None:
    folder, before = place
    output = folder / "f_%04d.png"
    ends = set()
    for at in range(200):
        ended = killed_at(lambda: write_sequence(output), at)
        # What the next run that writes there does first.
        for path in (output, folder):
            remove_leftovers(path)
        assert contents(folder) in (before, before | NEW), f"killed at operation {at}"
        assert not list(folder.parent.rglob(".*"))
        ends.add(contents(folder) == before)
        if ended == 0:
            break
        reset(folder, before)
    assert ended == 0, "it was killed at every operation that there is"
    assert ends == {True, False}


def test_all_or_nothing_wherever_it_is_interrupted(place: tuple[Path, dict[str, str]]) -> None:
    folder, before = place
    output = folder / "f_%04d.png"

    def interrupt_everywhere() -> None:
        disturbance = Disturbance(interrupt)
        for at in range(200):
            disturbance.at = at
            try:
                write_sequence(output)
            except BaseException:  # noqa: BLE001 -- what becomes of the interruption
                was_whole = False
            else:
                was_whole = True
            disturbance.at = None
            # At once, without a next run.
            assert contents(folder) in (before, before | NEW), f"interrupted at operation {at}"
            for path in (output, folder):
                remove_leftovers(path)
            if was_whole:
                assert at > len(NAMES), "it was interrupted in every step"
                return
            reset(folder, before)
        raise AssertionError("it was interrupted at every operation that there is")

    # A process can have a hook, and not lose it.
    assert in_child(interrupt_everywhere) == 0


@pytest.fixture
def pending(tmp_path: Path, half_moved: Path) -> tuple[Path, Path]:
    """A folder into which a killed run has moved some frames, and what waits to be moved."""
    folder = tmp_path / "shots"
    shutil.copytree(half_moved, folder)
    (waiting,) = (path for path in folder.iterdir() if has_journal(path))
    return folder, waiting


@pytest.fixture(scope="module")
def half_moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("half_moved") / "shots"
    for at in range(200):
        folder.mkdir(exist_ok=True)
        killed_at(lambda: write_sequence(folder / "f_%04d.png"), at)
        waiting = [path for path in folder.iterdir() if has_journal(path)]
        if waiting and (folder / NAMES[1]).exists():
            assert not (folder / NAMES[4]).exists()
            return folder
        remove_leftovers(folder / "f_%04d.png")
        reset(folder, {})
    pytest.fail("it was never killed between two moves")


def test_the_rest_is_moved_by_any_run_that_writes_there(pending: tuple[Path, Path]) -> None:
    folder, _waiting = pending
    remove_leftovers(folder / "something_else.mp4")
    assert contents(folder) == NEW


@pytest.mark.parametrize("name", [NAMES[0], NAMES[4]], ids=["moved", "not moved yet"])
def test_a_file_that_changed_since_is_kept(pending: tuple[Path, Path], name: str) -> None:
    folder, waiting = pending
    (folder / name).write_text("mine")
    remove_leftovers(folder / "f_%04d.png")
    assert (folder / name).read_text() == "mine"
    assert not waiting.exists()


def test_frames_that_somebody_removed_do_not_come_back_in_part(
    pending: tuple[Path, Path],
) -> None:
    folder, _waiting = pending
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)
    remove_leftovers(folder / "f_%04d.png")
    assert contents(folder) == {}


def test_a_journal_moves_files_only_into_its_own_folder(pending: tuple[Path, Path]) -> None:
    folder, waiting = pending
    journal = waiting / "journal.json"
    moves = json.loads(journal.read_text())
    moves = {f"../../{name}": states for name, states in moves.items()}
    journal.write_text(json.dumps(moves))
    remove_leftovers(folder / "f_%04d.png")
    assert [path.name for path in folder.parent.iterdir()] == ["shots"]


def test_a_folder_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    partial = PartialFolder(folder / "f_%04d.png", create_folder=True)
    (partial.path / "f_0000.png").write_text("new")
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    partial.publish(["f_0000.png"], overwrite=False)
    partial.discard()
    assert contents(folder) == {"f_0000.png": "new", **BESIDE}
    assert [path.name for path in tmp_path.iterdir()] == ["shots"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    partial = PartialFolder(tmp_path / "f_%04d.png", create_folder=False)
    for name in NAMES:
        (partial.path / name).write_text("new")
    (tmp_path / NAMES[2]).write_text("mine")
    with pytest.raises(OutputError, match="has changed"):
        partial.publish(NAMES, overwrite=False)
    partial.discard()
    remove_leftovers(tmp_path / "f_%04d.png")
    assert contents(tmp_path) == {NAMES[2]: "mine"}


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_folder_is_told_before_the_work(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "shots")
    with pytest.raises(OutputError):
        PartialFolder(tmp_path / "shots/f_%04d.png", create_folder=True)
    with pytest.raises(OutputError, match="does not exist"):
        PartialFolder(tmp_path / "other/f_%04d.png", create_folder=False)
