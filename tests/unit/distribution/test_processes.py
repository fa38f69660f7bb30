from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from refvid.distribution.engine import MOST_LOSSES, Event
from refvid.distribution.processes import run_in_processes
from refvid.errors import DeviceError
from tests.workers import Doubling

posix = pytest.mark.skipif(os.name == "nt", reason="signals are sent differently on Windows")


def run(folder: Path, tasks: list[int], places: tuple[str, ...] = ("a", "b")) -> list[Event]:
    return list(run_in_processes(tasks, places, Doubling(folder), {"SHARE": "half"}))


def results(events: list[Event]) -> dict[int, int]:
    return {event.number: event.content[0] for event in events if event.kind == "finished"}


def test_every_task_is_done_once_by_as_many_workers_as_there_are_places(tmp_path):
    events = run(tmp_path, [5, 6, 7, 8, 9])
    assert results(events) == {0: 10, 1: 12, 2: 14, 3: 16, 4: 18}
    finished = [event for event in events if event.kind == "finished"]
    assert len(finished) == 5
    assert {event.content[1] for event in finished} == {"half"}
    assert len({event.content[2] for event in finished}) <= 2
    first = [event.kind for event in events if event.number == 0]
    assert first == ["started", "told", "finished"]
    assert {event.content for event in events if event.number == 0 and event.kind == "told"} == {
        "5 on a"
    }


@posix
def test_a_worker_that_dies_is_replaced_and_its_task_begins_again(tmp_path):
    (tmp_path / "die-6-once").touch()
    events = run(tmp_path, [5, 6, 7])
    assert results(events) == {0: 10, 1: 12, 2: 14}
    [lost] = [event for event in events if event.kind == "lost"]
    assert lost.number == 1
    assert "SIGKILL" in lost.content


@posix
def test_a_task_that_kills_its_workers_fails_and_the_others_are_done(tmp_path):
    for time_ in range(MOST_LOSSES):
        (tmp_path / f"die-6-{time_}").touch()
    events = run(tmp_path, [5, 6, 7])
    assert results(events) == {0: 10, 2: 14}
    [failed] = [event for event in events if event.kind == "failed"]
    assert failed.number == 1


def test_a_task_that_raises_fails_at_once(tmp_path):
    (tmp_path / "fail-6").touch()
    events = run(tmp_path, [5, 6])
    assert results(events) == {0: 10}
    assert [e.content for e in events if e.kind == "failed"] == [
        "unexpected ValueError: written so"
    ]


def test_a_place_that_is_of_no_use_ends_all(tmp_path):
    with pytest.raises(DeviceError, match="no such place"):
        run(tmp_path, [5], ("useless",))


def test_workers_that_do_not_start_end_all(tmp_path):
    with pytest.raises(DeviceError, match="do not start: its process ended with exit code 3"):
        run(tmp_path, [5], ("dying",))


@posix
def test_closing_stops_the_workers(tmp_path):
    (tmp_path / "wait-5").touch()
    events = run_in_processes([5], ["a"], Doubling(tmp_path), {})
    assert next(events).kind == "started"
    assert next(events).kind == "told"
    sign = tmp_path / "pid-5"
    while not (sign.exists() and sign.read_text()):
        time.sleep(0.01)
    events.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(sign.read_text()), 0)
