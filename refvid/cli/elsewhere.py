"""Jobs in other processes, on this machine or on others, and what is told of them here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refvid.cli.comparing import page_beside
from refvid.cli.console import Console
from refvid.cli.failure import Failure
from refvid.cli.jobs import Outcome, job_names
from refvid.cli.remote import Said, WorkerSetup
from refvid.cli.task import Call, Models, Splits, Task, batch_of
from refvid.distribution.engine import MOST_LOSSES, Event
from refvid.distribution.places import share_of_cores
from refvid.distribution.processes import run_in_processes
from refvid.errors import DeviceError, OutputError
from refvid.media.leftovers import remove_leftovers
from refvid.media.publishing import Published
from refvid.progress import Progress

if TYPE_CHECKING:
    from refvid.media.inputs import Job
    from refvid.progress import ProgressCallback


@dataclass(frozen=True, slots=True)
class Errand:
    """A job for another process."""

    call: Call
    job: Job
    facts: Mapping[str, Any]
    """What tells it apart in events: its number, its line in a list."""

    splits: Splits | None
    """How several devices do it."""

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
    errands: list[Errand] = []
    for job in batch.ready:
        try:
            batch.prepare(job)
        except OutputError as error:
            batch.add(Outcome(job=job, error=error))
        else:
            about, facts = call.about(job, len(task.jobs)), {"job": len(errands) + 1}
            errands.append(Errand(about, job, facts, task.splits))
    if errands and not batch.is_over:
        do_errands(
            console,
            errands,
            places,
            lambda _number, outcome: batch.add(outcome),
            ray=task.rules.ray,
            is_over=lambda: batch.is_over,
        )
    return batch.finish()


def do_errands(
    console: Console,
    errands: Sequence[Errand],
    places: Sequence[str],
    on_outcome: Callable[[int, Outcome], None],
    *,
    ray: str | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Do jobs in other processes; what became of them is told in order.

    Where there are fewer jobs than devices of this machine, the devices share out every job that
    has parts.

    Args:
        console: Where messages go, as they come.
        errands: The jobs.
        places: Devices, of one process each.
        on_outcome: Hears of each job, with its place in `errands`, in their order.
        ray: Address of a cluster in place of this machine.
        is_over: Whether a failure has ended everything.
    """
    told = _Told(console, errands, on_outcome)
    try:
        whole = [*range(len(errands))]
        if ray is None and len(errands) < len(places):
            whole = _share_out(console, errands, places, told, is_over)
        if whole and not is_over():
            with closing(_begin(console, errands, whole, places, told, ray)) as events:
                for event in events:
                    told.hear(event)
                    if is_over():
                        break
    finally:  # also where a signal came
        told.finish()


def _share_out(
    console: Console,
    errands: Sequence[Errand],
    places: Sequence[str],
    told: _Told,
    is_over: Callable[[], bool],
) -> list[int]:
    """Do the jobs that have parts, one after the other; gives the numbers of the others."""
    from refvid.cli.in_parts import do_in_parts, find_parts

    models, others, where = Models(console), [], ", ".join(places)
    for number, errand in enumerate(errands):
        parts = find_parts(console, errand.splits, errand.job, len(places))
        if len(parts) < 2:
            others.append(number)
            continue
        told.hear(Event("started", number, where))
        document = do_in_parts(console, models, errand.call, errand.facts, parts, places)
        told.hear(Event("finished", number, where, document))
        if is_over():
            return []
    return others


def _begin(
    console: Console,
    errands: Sequence[Errand],
    numbers: Sequence[int],
    places: Sequence[str],
    told: _Told,
    ray: str | None,
) -> Generator[Event, None, None]:
    """Have each of the jobs of these numbers done by one device."""
    setup = WorkerSetup(Path.cwd(), console.level)
    calls = [errands[number].call for number in numbers]

    def salvage(index: int) -> dict[str, Any] | None:
        document = told.salvage(numbers[index])
        calls[index] = told.call_again(numbers[index])
        return document

    if ray is None:
        cores = share_of_cores(places)
        events = run_in_processes(calls, places, setup, cores, salvage=salvage)
    else:
        from refvid.distribution.cluster import run_on_cluster

        setup = replace(setup, seen=tuple(_places_of(errands)))
        events = run_on_cluster(calls, ray, places, setup, salvage)
    with closing(events):
        for event in events:
            yield replace(event, number=numbers[event.number])


def _places_of(errands: Sequence[Errand]) -> list[Path]:
    """The folders that are read or written, and a file of each that is read."""
    places: dict[Path, None] = {}
    samples: dict[Path, Path] = {}
    for errand in errands:
        samples.setdefault(errand.job.source.parent, errand.job.source)
        places[errand.job.output.parent] = None
    return [*places, *samples.values()]


class _Told:
    """What was heard so far, and is told further in order."""

    def __init__(
        self,
        console: Console,
        errands: Sequence[Errand],
        on_outcome: Callable[[int, Outcome], None],
    ) -> None:
        self._console = console
        self._errands = errands
        self._on_outcome = on_outcome
        self._published: dict[int, dict[Path, Published]] = defaultdict(dict)
        """Results of each job that were about to appear, by their names."""

        self._progress: dict[int, ProgressCallback] = {}
        self._done: dict[int, Outcome] = {}
        self._next = 0

    def hear(self, event: Event) -> None:
        """Tell of an event, and the outcomes whose turn has come."""
        errand, console = self._errands[event.number], self._console
        name = errand.job.source.name
        if event.kind == "started":
            console.event("start", **errand.facts, **job_names(errand.job), device=event.place)
            if not console.tells_events:
                where = "" if event.place == "auto" else f" on {event.place}"
                console.note(f"{name}: begins{where}")
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
            self._on_outcome(self._next, self._done.pop(self._next))
            self._next += 1

    def finish(self) -> None:
        """Tell the outcomes that wait for others, which did not come."""
        for number in sorted(self._done):
            self._on_outcome(number, self._done[number])

    def salvage(self, number: int) -> dict[str, Any] | None:
        """What became of a job whose worker has ended: done, if all of it is there."""
        job = self._errands[number].job
        if not self._is_there(number, job.output) or self._lacks_page(number):
            return None
        reason = "its process ended when the result was there"
        return {**job_names(job), "status": "done", "reason": reason}

    def call_again(self, number: int) -> Call:
        """What the next worker is given for such a job."""
        call, job = self._errands[number].call, self._errands[number].job
        if self._lacks_page(number) and self._is_there(number, job.output):
            return call.again("its page of comparison is missing")
        return call

    def _lacks_page(self, number: int) -> bool:
        compares = bool(self._errands[number].call.values.get("compare"))
        return compares and not self._is_there(
            number, page_beside(self._errands[number].job.output)
        )

    def _is_there(self, number: int, output: Path) -> bool:
        published = self._published[number].get(output)
        if published is None:
            return False
        remove_leftovers(output)  # images may be on their way to their places
        return published.is_there()

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


def _lost(job: Job, reason: str) -> dict[str, Any]:
    failure = {
        "type": DeviceError.__name__,
        "message": f"{reason}, {MOST_LOSSES} times",
        "exit_code": DeviceError.exit_code,
    }
    return {**job_names(job), "status": "failed", "error": failure}
