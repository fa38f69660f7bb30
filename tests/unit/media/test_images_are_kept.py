"""A result never replaces what it is made of, whatever their names are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from refvid.errors import OptionError, OutputError
from refvid.media import outputs
from refvid.media.outputs import check_output, check_outputs, check_replaces_no, existing_files


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    folder = tmp_path / "shots"
    folder.mkdir()
    for number in (1, 2, 3):
        (folder / f"shot_{number:04d}.png").write_text(f"original {number}")
    (folder / "photo.png").write_text("photo")
    return folder


@pytest.mark.parametrize("output", ["shot_%04d.png", "../shots/shot_%04d.png", "shot_%03d.png"])
@pytest.mark.parametrize("source", ["shot_%04d.png", "", "shot_0002.png"])
def test_a_pattern_stands_for_its_images(shots: Path, source: str, output: str) -> None:
    if output == "shot_%03d.png":
        (shots / "shot_001.png").hardlink_to(shots / "shot_0002.png")
    with pytest.raises(OptionError, match=r"is the input .*shot_\d+\.png"):
        check_replaces_no([shots / output], [shots / source])


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_through_links(shots: Path, tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    link(shots / "shot_0002.png", out / "f_7.png")
    for source in (shots, shots / "shot_%04d.png", shots / "shot_0002.png"):
        with pytest.raises(OptionError, match="is the reference"):
            check_replaces_no([out / "f_%d.png"], [source], "the reference")
    link(shots / "photo.png", out / "photo.mp4")
    with pytest.raises(OptionError):
        check_replaces_no([out / "photo.mp4"], [shots])


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_through_a_linked_folder(shots: Path, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(shots)
    with pytest.raises(OptionError):
        check_replaces_no([tmp_path / "other/shot_%04d.png"], [shots])


@pytest.mark.parametrize("name", ["SHOT_%04d.PNG", "Shot_%04d.png"])
def test_on_a_disk_that_ignores_case(
    shots: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = outputs._file_id

    def ignoring_case(path: Path) -> tuple[int, int] | None:
        alike = [each for each in path.parent.iterdir() if each.name.lower() == path.name.lower()]
        return real(alike[0]) if alike else None

    monkeypatch.setattr(outputs, "_file_id", ignoring_case)
    with pytest.raises(OptionError):
        check_replaces_no([shots / name], [shots])


def test_names_that_merely_look_alike(shots: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for output in ("shot_%03d.png", "shot_%04d.jpg", "new_%04d.png", "photo.jpg"):
        check_replaces_no([shots / output, tmp_path / "elsewhere" / output], [shots])
    check_replaces_no([shots / "shot_%04d.png"], [shots / "photo.png"])


def test_the_files_that_a_pattern_would_replace(shots: Path) -> None:
    assert len(existing_files(shots / "shot_%04d.png")) == 3
    assert len(existing_files(shots / "photo.png")) == 1
    assert existing_files(shots / "new_%04d.png") == set()
    assert existing_files(shots / "none/%d.png") == set()


def test_what_cannot_be_written_is_told_before_the_work(unprivileged: Path) -> None:
    closed = unprivileged / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    for output in ("out.html", "new/out.mp4", "new/deeper/f_%d.png"):
        with pytest.raises(OutputError, match="No permission"):
            check_output(closed / output, overwrite=True, may_make_folder=True)
    with pytest.raises(OutputError, match="No permission"):
        check_outputs([unprivileged / "a.html", closed / "b.html"], overwrite=True)
    assert not list(unprivileged.glob("*.html"))
