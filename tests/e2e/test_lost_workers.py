"""Worker processes that are killed in the moments in which their results appear."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from refvid.cli import elsewhere
from refvid.cli.app import app
from refvid.cli.remote import WorkerSetup
from refvid.distribution import processes
from refvid.media.image import write_image
from tests.conftest import moving_pattern
from tests.job_lists import frames_of, write_list
from tests.program import Forking
from tests.workers import Dying

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent differently on Windows")

FILE = "refvid.media.partial_file:PartialFile.publish"
IMAGES = "refvid.media.partial_folder:PartialFolder.publish"
MOVE = "refvid.media.partial_folder:carry_out"
PAGE = "refvid.cli.comparing:compare_with_input"
THERE = "its process ended when the result was there"


@pytest.fixture
def clip(make_video, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("die").touch()
    return make_video(6, "clip.mp4")


@pytest.fixture
def run(monkeypatch):
    """Runs a list with this one job by a worker that is killed."""

    monkeypatch.setattr(processes, "_SPAWN", Forking)

    def run(function: str, *words: str, is_before: bool = False, **row: Any) -> dict[str, Any]:
        monkeypatch.setattr(
            elsewhere,
            "WorkerSetup",
            lambda *args, **more: Dying(WorkerSetup(*args, **more), function, is_before),
        )
        name = write_list([{"input": "clip.mp4", "strength": 0, "codec": "ffv1", **row}])
        ended = CliRunner().invoke(app, ["batch", name, "--json", *words])
        assert ended.exit_code == 0, ended.output
        assert not Path("die").exists(), "nobody was killed"
        assert "SIGKILL" in ended.stderr or THERE in ended.stdout
        assert not [*Path().rglob(".refvid*")]
        [result] = json.loads(ended.stdout)["results"]
        return result

    return run


def pictures(video: Path) -> list[bytes]:
    return [pixels for _, pixels in frames_of(video)]


@pytest.mark.parametrize("words", [(), ("-n",), ("-y",), ("--no-resume",)])
def test_a_result_that_appeared_is_done(clip, run, words) -> None:
    result = run(FILE, *words, output="out.mkv")
    assert (result["status"], result.get("reason")) == ("done", THERE)
    assert pictures(Path("out.mkv")) == pictures(clip)


def test_one_that_did_not_is_made_again(clip, run) -> None:
    result = run(FILE, is_before=True, output="out.mkv")
    assert result["status"] == "done"
    assert result["report"]["frames"] == 6


def test_what_stood_there_before_is_not_taken_for_it(clip, run) -> None:
    Path("out.mkv").write_bytes(b"older")
    result = run(FILE, "-y", is_before=True, output="out.mkv")
    assert result["report"]["frames"] == 6
    assert pictures(Path("out.mkv")) == pictures(clip)


@pytest.mark.parametrize(("function", "is_before"), [(IMAGES, False), (MOVE, True)])
def test_images_appear_together(clip, run, function, is_before) -> None:
    Path("images").mkdir()
    result = run(function, is_before=is_before, output="images/%02d.png", codec="")
    assert (result["status"], result.get("reason")) == ("done", THERE)
    assert len([*Path("images").iterdir()]) == 6


def test_a_new_folder_of_images(clip, run) -> None:
    Path("shots").mkdir()
    for number in range(3):
        write_image(Path(f"shots/{number}.png"), moving_pattern(1, 32, 32)[0])
    result = run(IMAGES, input="shots", codec="")
    assert (result["status"], result.get("reason")) == ("done", THERE)
    assert len([*Path("shots_refvid").iterdir()]) == 3


@pytest.mark.parametrize(("function", "is_again"), [(FILE, True), (PAGE, False)])
def test_a_page_beside_the_result_belongs_to_it(clip, run, function, is_again) -> None:
    result = run(function, "-n", output="out.mkv", compare="true")
    assert result["status"] == "done"
    assert ("report" in result) == is_again
    assert Path("out_compare.html").exists()
