"""Where results may go: never over what they are made of, nor over each other."""

import os
from pathlib import Path

import pytest

from refvid.errors import OptionError, OutputError
from refvid.media.outputs import check_output, check_outputs, check_replaces_no


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("clip.mp4", "other.mp4", "shot_001.png", "shot_007.png"):
        Path(name).write_bytes(name.encode())
    Path("folder").mkdir()
    os.link("clip.mp4", "hard.mp4")
    Path("soft.mp4").symlink_to("clip.mp4")
    Path("dangling.mp4").symlink_to("nowhere.mp4")
    return tmp_path


@pytest.mark.parametrize(
    "output", ["clip.mp4", "folder/../clip.mp4", "hard.mp4", "soft.mp4", "{here}/clip.mp4"]
)
def test_no_spelling_of_an_input_is_an_output(here, output):
    for overwrite in (False, True):
        with pytest.raises(OptionError, match=r"is the input clip\.mp4"):
            check_output(Path(output.format(here=here)), [Path("clip.mp4")], overwrite=overwrite)


def test_what_is_read_is_named():
    Path("b.mp4").symlink_to("other.mp4")
    with pytest.raises(OptionError, match=r"b\.mp4 is the reference"):
        check_replaces_no([Path("a.mp4"), Path("b.mp4")], [Path("other.mp4")], "the reference")
    check_replaces_no([Path("a.mp4")], [Path("a.mp4"), Path("none.mp4")])  # neither is there


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ("other.mp4", "exists already"),
        ("shot_%03d.png", "exists already"),
        ("dangling.mp4", "exists already"),
        ("folder", "exists already"),
        ("none/out.mp4", "does not exist"),
        ("none/out_%03d.png", "does not exist"),
        ("clip.mp4/out.mp4", "does not exist"),
    ],
)
def test_what_cannot_be_written(output, problem):
    with pytest.raises(OutputError, match=problem):
        check_output(Path(output), overwrite=False)


def test_what_can():
    check_output(Path("new.mp4"), [Path("clip.mp4")], overwrite=False)
    check_output(Path("new_%d.png"), overwrite=False)
    check_output(Path("none/out.mp4"), overwrite=False, may_make_folder=True)
    for existing in ("other.mp4", "shot_%03d.png", "dangling.mp4"):
        check_output(Path(existing), overwrite=True)
    with pytest.raises(OutputError, match="is a folder"):
        check_output(Path("folder"), overwrite=True)


def test_results_of_one_run_differ():
    with pytest.raises(OptionError, match="one file"):
        check_outputs([Path("a.html"), Path("folder/../a.html")], overwrite=True)
    check_outputs([Path("a.html"), Path("a.png")], [Path("clip.mp4")], overwrite=False)
    with pytest.raises(OptionError, match="is the input"):
        check_outputs([Path("a.html"), Path("clip.mp4")], [Path("clip.mp4")], overwrite=True)
