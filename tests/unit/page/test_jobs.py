import threading
from pathlib import Path

import pytest

from refvid.page.jobs import Jobs
from refvid.progress import Progress


class Ended(BaseException):
    """Ends the worker, as Ctrl-C does."""


def end(job):
    raise Ended


def add(jobs, work, output="out.mp4"):
    return jobs.add(
        lambda is_taken: Path(output), title="t", source=Path("in.mp4"), begins=0, work=work
    )


@pytest.fixture
def jobs():
    return Jobs(lambda error, job: f"{job.output}: {error}")


def work_all(jobs):
    add(jobs, end)
    with pytest.raises(Ended):
        jobs.work()


def test_one_after_the_other(jobs):
    done = []

    def work(job):
        done.append(job.number)
        return job.number

    made = [add(jobs, work) for _ in range(3)]
    assert [job.state for job in made] == ["waiting"] * 3
    work_all(jobs)
    assert done == [1, 2, 3]
    assert [job.report for job in made] == done
    assert [job.number for job in jobs.list()[1]] == [3, 2, 1]


def test_a_failure_does_not_cost_the_others(jobs):
    def fail(job):
        raise ValueError("no")

    failed, good = add(jobs, fail), add(jobs, lambda job: "report")
    work_all(jobs)
    assert (failed.state, failed.error) == ("failed", "out.mp4: no")
    assert good.state == "done"


def test_what_waits_can_be_taken_out(jobs):
    done = []
    first, second = (add(jobs, lambda job: done.append(job.number)) for _ in range(2))
    assert jobs.stop(first.number)
    assert first.state == "stopped"
    assert not jobs.stop(first.number)
    assert not jobs.stop(None)
    work_all(jobs)
    assert done == [second.number]


def test_what_works_is_stopped_when_it_next_tells(jobs):
    def work(job):
        job.tell(Progress(1, 2))
        assert jobs.find(job.number) is job
        assert jobs.stop(job.number)
        assert job.is_stopping
        job.tell(Progress(2, 2))

    stopped, next_one = add(jobs, work), add(jobs, lambda job: None)
    work_all(jobs)
    assert (stopped.state, stopped.how_far) == ("stopped", Progress(1, 2))
    assert next_one.state == "done"


def test_names_in_the_queue_are_taken(jobs):
    taken = []

    def name(is_taken):
        taken.append(is_taken(Path("a.mp4")))
        return Path("a.mp4")

    for _ in range(2):
        jobs.add(name, title="t", source=Path("s"), begins=None, work=lambda job: None)
    assert taken == [False, True]


def test_work_that_comes_while_the_worker_waits(jobs):
    threading.Timer(0.05, lambda: add(jobs, end)).start()
    with pytest.raises(Ended):
        jobs.work()


def test_what_is_remembered_is_bounded(jobs):
    first = add(jobs, lambda job: None)
    for _ in range(150):
        add(jobs, lambda job: None)
    work_all(jobs)
    assert jobs.find(first.number) is None
    assert len(jobs.list()[1]) == 100
