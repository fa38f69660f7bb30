"""`refvid batch` on real files, without a model (strength 0) and without worker processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import Result

from refvid.cli import elsewhere, remote
from refvid.cli.app import app
from refvid.cli.columns import Columns
from refvid.cli.task import Call
from refvid.distribution.engine import Event
from refvid.settings import Settings
from tests.commands import run
from tests.job_lists import plain, write_list

Run = Callable[..., Result]


def work_here(
    tasks: Sequence[Call],
    places: Sequence[str],
    setup: remote.WorkerSetup,
    environment: Mapping[str, str],
    **_more: object,
) -> Iterator[Event]:
    """Does what workers do; the last task is done first where there are several."""
    perform = remote._Worker("cpu", setup.level).perform
    for number in reversed(range(len(tasks))) if len(places) > 1 else range(len(tasks)):
        told: list[Any] = []
        yield Event("started", number, places[0])
        result = perform(tasks[number], told.append)
        for content in told:
            yield Event("told", number, places[0], content)
        yield Event("finished", number, places[0], result)


@pytest.fixture
def clips(make_video: Callable[..., Path], tmp_path: Path, monkeypatch) -> list[str]:
    """Three clips in the folder where the program runs."""
    monkeypatch.chdir(tmp_path)
    video = make_video(6).read_bytes()
    names = ["a.mp4", "b.mp4", "c.mp4"]
    for name in names:
        Path(name).write_bytes(video)
    monkeypatch.setattr(elsewhere, "run_in_processes", work_here)
    Path("out").mkdir()
    Image.new("RGB", (32, 32), "red").save("ref.png")
    return names


def test_a_bad_list_is_refused_as_a_whole_with_all_its_lines(clips):
    good, second, third = plain(clips)
    bad: list[dict[str, object]] = [
        {**second, "crff": 18},
        {**third, "crf": "much"},
        {**third, "command": "demolish"},
        {**third, "input": "d.mp4", "output": "out/d.mp4"},
        {**third, "ref": "none.png", "output": "out/e.mp4"},
        {**third, "output": "out/a.mp4"},
        {**third, "output": "a.mp4", "overwrite": "yes"},
        {**third, "output": "missing/c.mp4"},
        {**third, "device": "cpu"},
        {"output": "out/f.mp4"},
        {**third, "command": "decode"},
    ]
    result = run("batch", write_list([good, *bad]))
    assert result.exit_code == 7
    assert not list(Path("out").iterdir())
    assert result.stdout == ""
    for line, words in enumerate(
        [
            "crff: refvid enhance has no such option; did you mean crf?",
            "crf: ",
            "'demolish' is none of enhance, stylize, decode, encode",
            "d.mp4: there is no such file",
            "none.png does not exist",
            "is also the result of line 2",
            "a.mp4 is read by another job",
            "missing",
            "give --device to refvid batch",
            "there is no input",
            "strength: refvid decode has no such option",
        ],
        3,
    ):
        told = [each for each in result.stderr.splitlines() if f"jobs.csv:{line}:" in each]
        assert len(told) == 1, (line, result.stderr)
        assert words in told[0]
    assert "12 jobs: 1 not begun, 11 failed" in result.stderr


def test_keep_going_does_the_good_jobs_and_the_report_is_a_list_of_the_others(clips):
    rows = plain(clips)
    rows[1]["input"] = "later.mp4"
    result = run("batch", write_list(rows), "--keep-going", "--json")
    assert result.exit_code == 3
    report = json.loads(result.stdout)
    assert [each["status"] for each in report["results"]] == ["done", "failed", "done"]
    assert report["results"][1]["error"]["type"] == "InputError"
    assert [each["line"] for each in report["results"]] == [2, 3, 4]
    Path("report.json").write_text(result.stdout)

    Path("a.mp4").rename("later.mp4")
    again = run("batch", "report.json", "--json")
    assert again.exit_code == 0
    [done] = json.loads(again.stdout)["results"]
    assert (done["input"], done["output"], done["line"]) == ("later.mp4", "out/b.mp4", 3)
    assert run("batch", "report.json", "--skip-existing").exit_code == 0


def test_paths_come_in_order_on_stdout_and_the_sum_on_stderr(clips):
    result = run("batch", write_list(plain(clips)), "--device", "cpu:2")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"out/{name}" for name in clips]
    assert "3 jobs: 3 done" in result.stderr


def test_a_beginning_names_the_device_that_was_asked_for(clips):
    jobs = write_list(plain(clips[:1]))
    assert "a.mp4: begins\n" in run("batch", jobs).stderr
    assert "a.mp4: begins on cpu\n" in run("batch", jobs, "-d", "cpu", "-y").stderr


def test_a_failure_of_one_job_among_several_devices(clips):
    Path("b.mp4").write_bytes(b"nothing that a video begins with")
    result = run("enhance", *clips, "--strength", "0", "-o", "out/", "--device", "cpu:2", "--json")
    assert result.exit_code == 3
    results = json.loads(result.stdout)["results"]
    assert [each["status"] for each in results] == ["done", "failed", "done"]
    assert results[1]["error"]["type"] == "InputError"
    assert result.stderr.count("Cannot read b.mp4") == 1


def kinds_of(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """There is more than one of progress where a job takes a second."""
    return [kind for kind, _ in groupby(event["event"] for event in events)]


def test_events_tell_of_every_job(clips):
    result = run("batch", write_list(plain(clips)), "--progress", "json", "--skip-existing")
    events = [json.loads(line) for line in result.stderr.splitlines()]
    for job in (1, 2, 3):
        mine = [event for event in events if event.get("job") == job]
        assert kinds_of(mine) == ["start", "progress", "done"]
        start, *_, progress, done = mine
        assert start["line"] == job + 1
        assert progress["frames"] == progress["total"] == 6
        assert progress["frames_per_second"] > 0
        assert progress["seconds_left"] == 0
        assert done["report"]["frames"] == 6
    assert events[-1] == {"event": "summary", "jobs": 3, "done": 3, "exit_code": 0}

    again = run("batch", "jobs.csv", "--progress", "json", "--skip-existing")
    events = [json.loads(line) for line in again.stderr.splitlines()]
    assert [event["event"] for event in events if "job" in event] == ["skipped"] * 3


def test_events_of_a_command_in_its_own_process(clips):
    result = run(
        "enhance", *clips, "none.mp4", "--strength", "0", "-o", "out/", "--progress", "json"
    )
    events = [json.loads(line) for line in result.stderr.splitlines()]
    jobs = [event for event in events if event["event"] != "message"]
    assert kinds_of(jobs) == ["failed", *["start", "progress", "done"] * 3]


def test_a_plan_touches_nothing(clips):
    result = run("batch", write_list(plain(clips)), "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "jobs.csv:2: enhance a.mp4 -> out/a.mp4"
    assert not list(Path("out").iterdir())


def test_parts_of_a_list(clips, monkeypatch):
    name = write_list(plain(clips))
    assert run("batch", name, "--shard", "1/2").exit_code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.mp4", "c.mp4"]
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = run("enhance", *clips, "--strength", "0", "-o", "out/", "--shard", "auto")
    assert result.exit_code == 0
    assert result.stdout == "out/b_refvid.mp4\n"


def test_a_bad_job_in_another_part_stops_this_one(clips):
    rows = plain(clips)
    rows[1]["crf"] = "much"
    result = run("batch", write_list(rows), "--shard", "1/2")
    assert result.exit_code == 2
    assert not list(Path("out").iterdir())
    assert run("batch", "jobs.csv", "--shard", "1/2", "--keep-going").exit_code == 0


def test_the_first_failure_may_end_all(clips):
    Path("a.mp4").write_bytes(b"nothing that a video begins with")
    result = run("batch", write_list(plain(clips)), "--fail-fast", "--json")
    statuses = [each["status"] for each in json.loads(result.stdout)["results"]]
    assert statuses[0] == "failed"
    assert statuses[2] == "not begun"
    assert result.exit_code == 3


@pytest.mark.parametrize(
    ("stop", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)], ids=["ctrl-c", "term"]
)
@pytest.mark.parametrize(("device", "done"), [("cpu", ["a.mp4"]), ("cpu:2", ["c.mp4"])])
def test_a_report_of_an_interrupted_run_is_a_list_of_the_rest(
    run, clips, monkeypatch, stop, code, device, done
):
    def work(*args: Any, **more: Any) -> Iterator[Event]:
        for event in work_here(*args, **more):
            yield event
            if event.kind == "finished":
                raise stop

    monkeypatch.setattr(elsewhere, "run_in_processes", work)
    result = run("batch", write_list(plain(clips)), "--json", "--device", device)
    assert result.exit_code == code
    assert "3 jobs: " in result.stderr
    report = json.loads(result.stdout)
    assert report["exit_code"] == code
    statuses = {Path(one["input"]).name: one["status"] for one in report["results"]}
    assert statuses == {name: "done" if name in done else "not done" for name in clips}
    Path("report.json").write_text(result.stdout)
    monkeypatch.setattr(elsewhere, "run_in_processes", work_here)
    assert run("batch", "report.json").exit_code == 0
    assert {path.name for path in Path("out").iterdir()} == {*clips}


def test_a_list_without_jobs_is_said(clips):
    Path("jobs.csv").write_text("input,output\n\n")
    result = run("batch", "jobs.csv")
    assert result.exit_code == 0
    assert result.stderr == "jobs.csv: there are no jobs to do\n"


@pytest.mark.parametrize("name", ["a\0.mp4", "\ud800.mp4"], ids=["zero", "half"])
@pytest.mark.parametrize("column", ["input", "output", "ref"])
def test_names_that_no_file_has_are_told_with_their_line(clips, name, column):
    row = {"input": "a.mp4", "output": "out/a.mp4", column: name}
    Path("jobs.jsonl").write_text(json.dumps(row))
    result = run("batch", "jobs.jsonl")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: jobs.jsonl:1: {column}: ")


def test_settings_hold_for_jobs_that_do_not_say_otherwise(clips, monkeypatch):
    monkeypatch.setenv("REFVID_CODEC", "ffv1")
    rows = [
        {"input": "a.mp4", "output": "out/a.mkv", "strength": 0},
        {"input": "b.mp4", "output": "out/b.mkv", "strength": 0, "codec": "h264"},
    ]
    result = run("batch", write_list(rows), "--json")
    plans = [each["report"]["plan"]["codec"] for each in json.loads(result.stdout)["results"]]
    assert plans == ["ffv1", "h264"]


def test_every_option_of_a_command_is_a_column(clips):
    """Those of the batch excepted."""

    program: Any = get_command(app)
    of_the_list = {
        *("help", "device", "fail-fast", "no-resume", "dry-run", "shard", "ray", "progress"),
        *("json", "quiet", "verbose", "debug"),
    }
    for name in remote.commands():
        command = program.commands[name]
        columns = Columns(name, command, Settings())
        own = {word[2:] for p in command.params for word in p.opts if word.startswith("--")}
        assert columns.names == (own - of_the_list) | {"input"}
