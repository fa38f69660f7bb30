"""Unfinished outputs: nobody's file is touched, and what killed runs leave is cleared up."""

from __future__ import annotations

import os
import platform
import secrets
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from refvid.errors import OutputError
from refvid.media import unfinished
from refvid.media.partial_file import PartialFile, check_target, partial_file

PROJECT = Path(__file__).parents[3]
posix_only = pytest.mark.skipif(os.name != "posix", reason="locks and links are a POSIX matter")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leftover(folder: Path, suffix: str = ".mp4") -> Path:
    """What a killed run leaves: nobody holds its lock any more."""
    path, descriptor = unfinished.create_unfinished_file(folder, suffix)
    os.close(descriptor)
    return path


def test_it_appears_when_it_is_whole(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    with partial_file(output, overwrite=False) as partial:
        partial.write_text("whole")
        assert not output.exists()
        assert partial.parent == tmp_path
        assert partial.suffix == ".csv"
        assert partial.name.startswith(".")
    assert output.read_text() == "whole"
    assert names(tmp_path) == ["out.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    output = tmp_path / "out.csv"
    output.write_text("mine")
    with pytest.raises(error), partial_file(output, overwrite=True) as partial:  # noqa: PT012
        partial.write_text("half")
        raise error
    assert output.read_text() == "mine"
    assert names(tmp_path) == ["out.csv"]


@posix_only
def test_a_planted_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["11111111", "00000000", "00000000"]
    monkeypatch.setattr(secrets, "token_hex", lambda _size: words.pop())
    victim = tmp_path / "victim"
    victim.write_text("precious")
    planted = leftover(tmp_path)
    planted.unlink()
    planted.symlink_to(victim)
    with partial_file(tmp_path / "out.mp4", overwrite=False) as partial:
        assert "11111111" in partial.name
        partial.write_text("new")
    assert victim.read_text() == "precious"
    assert not (tmp_path / "out.mp4").is_symlink()


@pytest.mark.parametrize("name", ["a" * 251 + ".mp4", "ä" * 125 + ".mp4", "x" + "." + "y" * 253])
def test_names_as_long_as_the_disk_takes(tmp_path: Path, name: str) -> None:
    with partial_file(tmp_path / name, overwrite=False) as partial:
        partial.write_text("x")
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a" * 252 + ".mp4", "a\0.mp4"])
def test_impossible_names_are_told_before_the_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError):
        check_target(tmp_path / name, overwrite=True)
    with pytest.raises(OutputError):
        PartialFile(tmp_path / name, overwrite=True)
    assert names(tmp_path) == []


@posix_only
def test_a_full_disk_is_told_before_the_work(tmp_path: Path) -> None:
    code = f"""
        import resource
        from pathlib import Path
        from refvid.errors import OutputError
        from refvid.media.partial_file import PartialFile
        from refvid.media.partial_folder import PartialFolder
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        for create in (
            lambda: PartialFile(Path({str(tmp_path / "out.mp4")!r}), overwrite=False),
            lambda: PartialFolder(Path({str(tmp_path / "f_%d.png")!r}), create_folder=False),
        ):
            try:
                create()
            except OutputError as error:
                assert "no space is left" in str(error), error
            else:
                raise SystemExit("no error")
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60, cwd=PROJECT
    )
    assert names(tmp_path) == []


def test_a_closed_folder_is_told_before_the_work(unprivileged: Path) -> None:
    folder = unprivileged / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    with pytest.raises(OutputError, match="No permission to write to the folder"):
        check_target(folder / "out.mp4", overwrite=False)
    with pytest.raises(OutputError):
        PartialFile(folder / "out.mp4", overwrite=False)
    folder.chmod(0o000)
    with pytest.raises(OutputError):
        check_target(folder / "out.mp4", overwrite=False)


@posix_only
class TestLeftovers:
    def test_the_next_run_removes_them(self, tmp_path: Path) -> None:
        leftover(tmp_path)
        leftover(tmp_path, ".png")
        folder, descriptor = unfinished.create_unfinished_folder(tmp_path)
        assert descriptor is not None
        os.close(descriptor)
        (folder / "f_0001.png").write_bytes(b"half a sequence")
        with partial_file(tmp_path / "out.mp4", overwrite=False) as partial:
            assert names(tmp_path) == [partial.name]

    def test_those_of_a_running_writer_stay(self, tmp_path: Path) -> None:
        other = PartialFile(tmp_path / "other.mp4", overwrite=False)
        folder, descriptor = unfinished.create_unfinished_folder(tmp_path)
        assert descriptor is not None
        with partial_file(tmp_path / "out.mp4", overwrite=False):
            pass
        assert names(tmp_path) == sorted([other.path.name, folder.name, "out.mp4"])
        other.publish()
        other.discard()
        os.close(descriptor)
        assert (tmp_path / "other.mp4").exists()

    @pytest.mark.parametrize(("age_h", "stays"), [(1, True), (25, False)])
    def test_those_of_another_machine_stay_for_a_day(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_h: int, stays: bool
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(platform, "node", lambda: "another")
            path = leftover(tmp_path)
        then = time.time() - age_h * 3600
        os.utime(path, (then, then))
        with partial_file(tmp_path / "out.mp4", overwrite=False):
            pass
        assert path.exists() is stays

    @pytest.mark.parametrize(
        "name",
        [".refvid.toml", ".refvid-notes.mp4", ".refvid-0123456789abc", "refvid-0a0a0a0a0a0a"],
    )
    def test_other_files_stay(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("mine")
        with partial_file(tmp_path / "out.mp4", overwrite=False):
            pass
        assert (tmp_path / name).read_text() == "mine"

    def test_a_link_of_such_a_name_stays_and_so_does_its_target(self, tmp_path: Path) -> None:
        path = leftover(tmp_path)
        target = path.rename(tmp_path / "target")
        path.symlink_to(target)
        with partial_file(tmp_path / "out.mp4", overwrite=False):
            pass
        assert path.is_symlink()
        assert target.exists()

    def test_those_of_0_1_0_go_with_their_process(self, tmp_path: Path) -> None:
        with subprocess.Popen([sys.executable, "-c", ""]) as ended:
            pass
        dead = tmp_path / f".out.partial-{ended.pid}.mp4"
        alive = tmp_path / f".out.partial-{os.getpid()}.mp4"
        foreign = tmp_path / f".other.partial-{ended.pid}.mp4"
        for path in (dead, alive, foreign):
            path.touch()
        with partial_file(tmp_path / "out.mp4", overwrite=False):
            pass
        assert names(tmp_path) == sorted([alive.name, foreign.name, "out.mp4"])
