"""Words that stand for something else than they seem: none at all, and pipes under a name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from refvid.cli.app import app

EMPTY = [
    ("enhance", ""),
    ("enhance", "clip.mp4", "-o", ""),
    ("enhance", "clip.mp4", "--ref", ""),
    ("info", ""),
    ("clean", ""),
    ("batch", ""),
    ("metrics", "clip.mp4", "--reference", ""),
    ("compare", "clip.mp4", ""),
]


@pytest.mark.parametrize("words", EMPTY)
def test_an_empty_word_is_not_the_folder_we_are_in(
    words: tuple[str, ...], tmp_path: Path, monkeypatch, make_video
) -> None:
    make_video(2, "clip.mp4")
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(app, [*words])
    assert run.exit_code == 2, run.output
    assert "is empty" in run.stderr
    assert [path.name for path in Path().glob("*.mp4")] == ["clip.mp4"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX")
@pytest.mark.parametrize(
    "words",
    [
        ("enhance", "pipe.mp4", "--dry-run"),
        ("enhance", "clip.mp4", "--ref", "pipe.mp4"),
        ("info", "pipe.mp4"),
        ("decode", "pipe.mp4"),
        ("metrics", "clip.mp4", "--reference", "pipe.mp4"),
        ("compare", "clip.mp4", "pipe.mp4"),
    ],
)
def test_a_pipe_under_a_name_is_refused_and_not_waited_for(
    words: tuple[str, ...], tmp_path: Path, monkeypatch, make_video
) -> None:
    make_video(2, "clip.mp4")
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.mp4")
    run = CliRunner().invoke(app, [*words])
    assert run.exit_code == 3, run.output
    assert "pipe.mp4 is a pipe or a device" in run.stderr
