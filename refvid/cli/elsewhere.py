"""Jobs in other processes, on this machine or on others, and what is told of them here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refvid.cli.batch import Batch
from refvid.cli.comparing import page_beside
from refvid.cli.console import Console
from refvid.cli.jobs import Outcome
from refvid.cli.remote import Said, WorkerSetup
from refvid.cli.task import Call, Models, Task, batch_of
from refvid.distribution.engine import MOST_LOSSES
from refvid.distribution.places import share_of_cores
from refvid.distribution.processes import run_in_processes
from refvid.errors import DeviceError, OutputError, RefvidError
from refvid.media.leftovers import remove_leftovers
from refvid.media.publishing import Published
from refvid.progress import Progress

if TYPE_CHECKING:
    from refvid.distribution.engine import Event
    from refvid.media.inputs import Job
    from refvid.progress import ProgressCallback


class Failure(RefvidError):
    """An error of another process, as its document tells it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document["message"])
        self.exit_code = document["exit_code"]


@dataclass(frozen=True, slots=True)
class Errand:
    """A job for another process."""

    call: Call
    job: Job
    facts: Mapping[str, Any]
    """What tells it apart in events: its number, its line in a list."""

    row: Mapping[str, Any] | None = None
    """How it stands in a list, for its result."""

    def document(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Its result, with what was found."""
        row = {} if self.row is None else {"row": dict(self.row)}
        return {**self.facts, **row, **found}


def carry_out_elsewhere(console: Console, task: Task, call: Call, places: Sequence[str]) -> int:
    """Do a task's jobs in processes of their own, and give the exit code.

    Args:
        console: Where results and messages go.
        task: What `call` is understood as.
        call: The command.
        places: Devices of this machine; on a cluster only their kind counts.
    """
    batch = batch_of(console, task)
    if task.splits is not None and task.rules.ray is None and len(batch.ready) < len(places):
        _do_in_parts(console, batch, task, call, places)
        return batch.finish()
    errands: list[Errand] = []
    for job in batch.ready:
        try:
            batch.prepare(job)
        except OutputError as error:
            batch.add(Outcome(job=job, error=error))
        else:
            errands.append(Errand(call.about(job, len(task.jobs)), job, {"job": len(errands) + 1}))
    if errands and not batch.is_over:
        do_errands(
            console, errands, places, batch.add, ray=task.rules.ray, is_over=lambda: batch.is_over
        )
    return batch.finish()


def _do_in_parts(
    console: Console, batch: Batch, task: Task, call: Call, places: Sequence[str]
) -> None:
    """Do jobs one after the other, all devices a part of it, where it has parts."""
    from refvid.cli.in_parts import do_in_parts

    assert task.splits is not None
    models = Models(console)
    do = None
    for job in batch:
        with batch.attempt(job) as outcome:
            console.note(f"{job.source.name}: looking for shot cuts, to share it out")
            parts = task.splits.find(job, len(places))
            if len(parts) > 1:
                one = call.about(job, len(task.jobs))
                outcome.report = do_in_parts(console, task.splits, models, one, job, parts, places)
            else:
                console.note(f"{job.source.name}: it is one shot, for one device")
                do = do or task.begin(models, batch.ready)
                outcome.report = do(job)


def do_errands(
    console: Console,
    errands: Sequence[Errand],
    places: Sequence[str],
    on_outcome: Callable[[Outcome], None],
    *,
    ray: str | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Do jobs in other processes; what became of them is told in order.

    Args:
        console: Where messages go, as they come.
        errands: The jobs.
        places: Devices, of one process each.
        on_outcome: Hears of each job, in the order of `errands`.
        ray: Address of a cluster in place of this machine.
        is_over: Whether a failure has ended everything.
    """
    told = _Told(console, errands)
    setup = WorkerSetup(Path.cwd(), console.level)
    events: Generator[Event, None, None]
    if ray is None:
        events = run_in_processes(
            told.calls, places, setup, share_of_cores(places), salvage=told.salvage
        )
    else:
        from refvid.distribution.cluster import run_on_cluster

        setup = replace(setup, seen=tuple(_places_of(errands)))
        events = run_on_cluster(told.calls, ray, places, setup, told.salvage)
    with closing(events):
        for event in events:
            for outcome in told.hear(event):
                on_outcome(outcome)
            if is_over():
                break
    for outcome in told.left():
        on_outcome(outcome)


def _places_of(errands: Sequence[Errand]) -> list[Path]:
    """The folders that are read or written, and a file of each that is read."""
    places: dict[Path, None] = {}
    samples: dict[Path, Path] = {}
    for errand in errands:
        samples.setdefault(errand.job.source.parent, errand.job.source)
        places[errand.job.output.parent] = None
    return [*places, *samples.values()]


class _Told:
    """What was heard so far."""

    def __init__(self, console: Console, errands: Sequence[Errand]) -> None:
        self.calls = [errand.call for errand in errands]
        """What workers are given, when its turn comes."""

        self._console = console
        self._errands = errands
        self._published: dict[int, dict[Path, Published]] = defaultdict(dict)
        """Results of each job that were about to appear, by their names."""

        self._progress: dict[int, ProgressCallback] = {}
        self._done: dict[int, Outcome] = {}
        self._next = 0

    def hear(self, event: Event) -> Iterator[Outcome]:
        """Tell of an event; gives the outcomes whose turn has come."""
        errand, console = self._errands[event.number], self._console
        name = errand.job.source.name
        if event.kind == "started":
            console.event("start", **errand.facts, **_names(errand.job), device=event.place)
            if not console.tells_events:
                console.note(f"{name}: begins on {event.place}")
        elif event.kind == "told" and isinstance(event.content, Progress):
            if event.content.done == 0:  # the model is loaded, and the work begins
                self._progress[event.number] = console.progress_lines(name, **errand.facts)
            elif console.level != "quiet" or console.tells_events:
                self._progress[event.number](event.content)
        elif event.kind == "told" and isinstance(event.content, Said):
            console.relay(event.content.text)
        elif event.kind == "told" and isinstance(event.content, Published):
            self._published[event.number][event.content.output] = event.content
        elif event.kind == "lost":
            console.warning(f"{name}: {event.content}; it begins again")
        elif event.kind == "finished":
            self._settle(event.number, event.content)
        elif event.kind == "failed":
            self._settle(event.number, _lost(errand.job, event.content))
        while self._next in self._done:
            yield self._done.pop(self._next)
            self._next += 1

    def salvage(self, number: int) -> dict[str, Any] | None:
        """What became of a job whose worker has ended: done, if it came to give the result its
        name and had nothing else to do.
        """
        job = self._errands[number].job
        if not self._is_there(number, job.output):
            return None
        if self.calls[number].values.get("compare") and not self._is_there(
            number, page_beside(job.output)
        ):
            self.calls[number] = self.calls[number].again("its page of comparison is missing")
            return None
        reason = "its process ended when the result was there"
        return {**_names(job), "status": "done", "reason": reason}

    def _is_there(self, number: int, output: Path) -> bool:
        published = self._published[number].get(output)
        if published is None:
            return False
        remove_leftovers(output)  # images may be on their way to their places
        return published.is_there()

    def left(self) -> Iterator[Outcome]:
        """The outcomes that wait for others, which did not come."""
        for number in sorted(self._done):
            yield self._done[number]

    def _settle(self, number: int, document: Mapping[str, Any]) -> None:
        errand = self._errands[number]
        document = errand.document(document)
        self._progress.pop(number, None)
        self._console.event(document["status"], **document)
        failure = document.get("error")
        self._done[number] = Outcome(
            job=errand.job,
            document=document,
            error=Failure(failure) if failure else None,
            skipped=document.get("reason", "") if document["status"] == "skipped" else "",
        )


def _names(job: Job) -> dict[str, str]:
    return {"input": str(job.source), "output": str(job.output)}


def _lost(job: Job, reason: str) -> dict[str, Any]:
    failure = {
        "type": DeviceError.__name__,
        "message": f"{reason}, {MOST_LOSSES} times",
        "exit_code": DeviceError.exit_code,
    }
    return {**_names(job), "status": "failed", "error": failure}
