"""One job by several processes, a part of the video each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from refvid.cli.console import Console
from refvid.cli.elsewhere import Failure
from refvid.cli.remote import PartCall, Said, WorkerSetup
from refvid.cli.task import Call, Models, Splits
from refvid.distribution.engine import MOST_LOSSES
from refvid.distribution.places import share_of_cores
from refvid.distribution.processes import run_in_processes
from refvid.errors import DeviceError

if TYPE_CHECKING:
    from refvid.distribution.engine import Event
    from refvid.media.inputs import Job
    from refvid.rebuild.parts import Made, Part
    from refvid.rebuild.plan import Plan, Report

_AHEAD = 2
"""Parts for each process that may wait on the disk for their turn."""


def do_in_parts(
    console: Console,
    splits: Splits,
    models: Models,
    call: Call,
    job: Job,
    parts: Sequence[Part],
    places: Sequence[str],
) -> Plan | Report:
    """Have processes rebuild the parts of a video, and write its result here.

    Args:
        console: Where messages go.
        splits: How that is done.
        models: Loads the model, which says what results are called after.
        call: The command, about this job.
        job: The job.
        parts: All of them.
        places: Devices, of one process each.

    Raises:
        RefvidError: The job failed.
    """
    from refvid.media.unfinished import create_unfinished_folder

    folder, lock = create_unfinished_folder(job.output.parent)
    try:
        joined = _Joined(console, folder, call, parts, places)
        with closing(joined.events):
            return splits.join(models, job, iter(joined))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


class _Joined:
    """The parts in order, as they come."""

    def __init__(
        self,
        console: Console,
        folder: Path,
        call: Call,
        parts: Sequence[Part],
        places: Sequence[str],
    ) -> None:
        self._console = console
        self._count = len(parts)
        self._next = 0
        self._made: dict[int, Made] = {}
        calls = [PartCall(call, part, folder.absolute() / f"{n}") for n, part in enumerate(parts)]
        self.events: Generator[Event, None, None] = run_in_processes(
            calls,
            places,
            WorkerSetup(Path.cwd(), console.level),
            share_of_cores(places),
            lambda number: number < self._next + _AHEAD * len(places),
        )

    def __iter__(self) -> Iterator[Made]:
        while self._next < self._count:
            while self._next not in self._made:
                self._hear(next(self.events))
            yield self._made.pop(self._next)
            self._next += 1

    def _hear(self, event: Event) -> None:
        if event.kind == "told" and isinstance(event.content, Said):
            self._console.relay(event.content.text)
        elif event.kind == "lost":
            self._console.warning(f"{event.content}; its part begins again")
        elif event.kind == "failed":
            raise DeviceError(f"{event.content}, {MOST_LOSSES} times")
        elif event.kind == "finished":
            if isinstance(event.content, dict):
                raise Failure(event.content)
            self._made[event.number] = event.content
