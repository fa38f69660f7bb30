"""Folders as users see them."""

from __future__ import annotations

from pathlib import Path

import pytest

from refvid.errors import InputError
from refvid.media.folders import exists, is_file, is_folder, list_files
from refvid.training.style_pictures import find_styles
from refvid.training.triplets import _by_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.png", ".hidden.png", "._a.png", "below/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_files_by_name_without_the_hidden_ones(folder: Path) -> None:
    assert [path.name for path in list_files(folder)] == ["a.png", "b.png"]
    found = [path.name for path in list_files(folder, hidden=True)]
    assert found == ["._a.png", ".hidden.png", "a.png", "b.png"]


def test_training_does_not_take_hidden_files(folder: Path) -> None:
    assert [path.name for path in find_styles(folder)] == ["a.png", "b.png", "c.png"]
    (folder / "below").rename(folder / "content")
    (folder / "content/.d.png").touch()
    assert [content.name for content, _style, _stylised in _by_name(folder)] == ["c.png"]


@pytest.mark.parametrize("name", ["missing", "a.png", "x" * 300])
def test_what_cannot_be_listed(folder: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"(does not exist|Cannot list)"):
        list_files(folder / name)


@pytest.mark.parametrize("name", ["missing", "a.png/below", "x" * 300, "a\0b"])
def test_questions_have_answers_for_any_name(folder: Path, name: str) -> None:
    for ask in (exists, is_file, is_folder):
        assert ask(folder / name) is False
