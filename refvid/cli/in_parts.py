"""One job by several processes, a part of the video each."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refvid.cli.console import Console
from refvid.cli.failure import Failure
from refvid.cli.remote import PartCall, Said, TellingConsole, WorkerSetup, find_command
from refvid.cli.task import Call, Models, Splits, batch_of, understand
from refvid.distribution.engine import MOST_LOSSES
from refvid.distribution.places import share_of_cores
from refvid.distribution.processes import run_in_processes
from refvid.errors import DeviceError, RefvidError

if TYPE_CHECKING:
    from refvid.distribution.engine import Event
    from refvid.media.inputs import Job
    from refvid.media.work_folder import WorkFolder
    from refvid.progress import ProgressCallback
    from refvid.rebuild.parts import Made, Part

_AHEAD = 2
"""Parts for each process that may wait on the disk for their turn."""


def find_parts(console: Console, splits: Splits | None, job: Job, devices: int) -> Sequence[Part]:
    """Find parts of a job that so many devices can share; fewer than two are for one device."""
    if splits is None:
        return ()
    console.note(f"{job.source.name}: looking for shot cuts, to share it out")
    try:
        parts = splits.find(job, devices)
    except (RefvidError, OSError):
        return ()  # who does the job will say what is wrong with it
    if len(parts) < 2:
        console.note(f"{job.source.name}: it is one shot, for one device")
    return parts


def do_in_parts(
    console: Console,
    models: Models,
    call: Call,
    facts: Mapping[str, Any],
    parts: Sequence[Part],
    places: Sequence[str],
) -> dict[str, Any]:
    """Have processes rebuild the parts of a video, and write its result here.

    Args:
        console: Where messages go.
        models: Loads the model, which says what results are called after.
        call: The command, about one job.
        facts: What tells the job apart in events.
        parts: All of them.
        places: Devices, of one process each.

    Returns:
        What became of the job, as in the JSON of its command.
    """
    own = _JobConsole(console, facts)
    values = {**call.values, "device": places[0]}
    with ExitStack() as stack:
        task = understand(find_command(call.command), values, own, stack)
        assert task.splits is not None, "else there are no parts"
        batch = batch_of(own, task)
        for job in batch:
            with batch.attempt(job) as outcome:
                workers = _Workers(console, call, parts, places)
                outcome.report = task.splits.join(models, job, workers.make)
        batch.finish()
    [result] = own.document["results"]
    return dict(result)


class _JobConsole(TellingConsole):
    """Says of one job here what a worker would tell of it."""

    def __init__(self, console: Console, facts: Mapping[str, Any]) -> None:
        super().__init__()
        self.level, self.json = console.level, True
        self.tell = lambda said: console.relay(said.text)
        self._console, self._facts = console, facts

    @contextmanager
    def progress(self, label: str, unit: str = "frame", **facts: Any) -> Iterator[ProgressCallback]:
        with self._console.progress(label, unit, **self._facts, **facts) as update:
            yield update


class _Workers:
    """Processes that make parts."""

    def __init__(
        self, console: Console, call: Call, parts: Sequence[Part], places: Sequence[str]
    ) -> None:
        self._console, self._call = console, call
        self._parts, self._places = parts, places

    def make(self, first: int, work: WorkFolder | None) -> Iterator[Made]:
        """See `MakeParts`.

        Raises:
            RefvidError: A part failed.
        """
        from refvid.rebuild.parts import parts_made_before

        needed = [part for part in self._parts if part.first + part.frames > first]
        made = {} if work is None else parts_made_before(work)
        waiting = [number for number, part in enumerate(needed) if part not in made]
        given = 0

        def may_start(index: int) -> bool:
            return waiting[index] < given + _AHEAD * len(self._places)

        with self._place_for(work) as folder:
            names = secrets.token_hex(4)  # a process of an interrupted run may still be writing
            calls = [
                PartCall(
                    self._call,
                    needed[number],
                    folder / f"{needed[number].first:08d}-{names}.frames",
                    secure=work is not None,
                )
                for number in waiting
            ]
            with closing(self._events(calls, may_start)) as events:
                for part in needed:
                    while part not in made:
                        one = self._hear(next(events))
                        if one is not None:
                            made[one.part] = one
                            if work is not None:
                                work.note(one.note())
                    yield made.pop(part)
                    given += 1

    def _events(
        self, calls: Sequence[PartCall], may_start: Callable[[int], bool]
    ) -> Generator[Event, None, None]:
        setup = WorkerSetup(Path.cwd(), self._console.level)
        return run_in_processes(calls, self._places, setup, share_of_cores(self._places), may_start)

    @contextmanager
    def _place_for(self, work: WorkFolder | None) -> Iterator[Path]:
        from refvid.media.unfinished import create_unfinished_folder

        if work is not None:
            yield work.path.absolute()
            return
        (job,) = self._call.values["inputs"]
        folder, lock = create_unfinished_folder(job.output.parent)
        try:
            yield folder.absolute()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if lock is not None:
                os.close(lock)

    def _hear(self, event: Event) -> Made | None:
        if event.kind == "told" and isinstance(event.content, Said):
            self._console.relay(event.content.text)
        elif event.kind == "lost":
            self._console.warning(f"{event.content}; its part begins again")
        elif event.kind == "failed":
            raise DeviceError(f"{event.content}, {MOST_LOSSES} times")
        elif event.kind == "finished":
            if isinstance(event.content, dict):
                raise Failure(event.content)
            made: Made = event.content
            return made
        return None
