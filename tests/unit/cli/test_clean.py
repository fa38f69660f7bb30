"""`refvid clean`: lists what interrupted runs have left, and removes it where that is asked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from refvid.cli.app import app
from refvid.media.unfinished import create_unfinished_file
from refvid.media.work_folder import WorkFolder, work_folder_of
from refvid.media.work_journal import Stretch

pytestmark = pytest.mark.skipif(os.name != "posix", reason="locks are another matter on Windows")


def leave(output: Path, frames: int = 96) -> Path:
    """What a run leaves that was killed after a stretch."""
    work = WorkFolder(output, {}, {})
    with pytest.raises(KeyboardInterrupt), work:  # noqa: PT012
        path = work.file("packets")
        path.write_bytes(b"x" * 1000)
        work.commit(Stretch(files=(path,), facts={"run": {"frames": frames}}))
        raise KeyboardInterrupt
    assert work_folder_of(output).is_dir()
    return work.path


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["clean", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_lists_and_removes_only_if_asked(tmp_path: Path) -> None:
    left = leave(tmp_path / "film_refvid.mkv")
    unfinished, descriptor = create_unfinished_file(tmp_path, ".mkv")
    os.close(descriptor)
    said = run(tmp_path)
    assert "film_refvid.mkv, 96 frames finished" in said
    assert str(unfinished) in said
    assert left.exists()
    assert unfinished.exists()
    document = json.loads(run(tmp_path, "--json"))
    assert [each["frames"] for each in document["leftovers"]] == [96, 0]
    assert len(run(tmp_path, "--remove").splitlines()) == 2
    assert not left.exists()
    assert not unfinished.exists()
    assert run(tmp_path) == ""


def test_leaves_running_ones_and_other_files_alone(tmp_path: Path) -> None:
    (tmp_path / ".refvid-resume-notes").mkdir()
    (tmp_path / ".refvid.toml").write_text("mine")
    with WorkFolder(tmp_path / "a.mkv", {}, {}) as work:
        assert run(tmp_path, "--remove") == ""
        assert work.path.exists()
    hidden = {path.name for path in tmp_path.iterdir() if path.name.startswith(".")}
    assert hidden == {".refvid-resume-notes", ".refvid.toml"}


def test_looks_below_only_if_asked(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    leave(tmp_path / "below/a.mkv")
    assert run(tmp_path) == ""
    assert "a.mkv" in run(tmp_path, "-r")


def test_a_folder_must_be_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["clean", str(tmp_path / "absent")])
    assert result.exit_code == 3


def test_a_run_that_was_killed_after_its_result_is_cleared_by_the_next(tmp_path: Path) -> None:
    """Between the result's last rename and the end of the folder."""
    from refvid.media.leftovers import remove_leftovers

    output = tmp_path / "a.mkv"
    left = leave(output)
    remove_leftovers(output)
    assert left.exists()
    output.write_bytes(b"whole")
    remove_leftovers(output)
    assert not left.exists()
