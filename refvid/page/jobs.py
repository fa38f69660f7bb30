"""The page's work: one piece after the other, whoever asks, told how far it is and stopped."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

from refvid.progress import Progress, Transfer

State = Literal["waiting", "working", "done", "stopped", "failed"]

_KEPT: Final = 100
"""Finished jobs that are remembered."""

_LOOK_S: Final = 0.5
"""How often the worker looks around while there is nothing to do: Windows needs it for Ctrl-C."""


class Stopped(Exception):
    """The user has asked for it."""


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """Work that waits, goes on or is over."""

    number: int
    title: str
    source: Path
    output: Path
    begins: Fraction | int | None
    """Where in its source the result begins: a time [s] or a frame; None: these are no videos of
    the same moments."""

    rate: Fraction | None = None
    """Of images in the source; None is the library's own."""

    work: Callable[[Job], Any]
    """Does it, and gives its report."""

    state: State = "waiting"
    how_far: Progress | Transfer | None = None
    report: Any = None
    error: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "stopped", "failed")

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop, and has not yet."""
        return self._stop.is_set() and not self.is_over

    def tell(self, how_far: Progress | Transfer) -> None:
        """Take note of how far it is; the work calls this.

        Raises:
            Stopped: It was asked to stop.
        """
        if self._stop.is_set():
            raise Stopped
        self.how_far = how_far


class Jobs:
    """All of them.

    Args:
        describe: Says in a sentence what went wrong with a job.
    """

    def __init__(self, describe: Callable[[Exception, Job], str]) -> None:
        self._describe = describe
        self._numbers = 0
        self._waiting: deque[Job] = deque()
        self._working: Job | None = None
        self._over: deque[Job] = deque(maxlen=_KEPT)
        self._changed = threading.Condition()

    def add(self, name: Callable[[Callable[[Path], bool]], Path], **facts: Any) -> Job:
        """Queue a piece of work.

        Args:
            name: Names its output; told which names others in the queue have.
            facts: Other fields of `Job`.
        """
        with self._changed:
            taken = {job.output for job in self._unfinished()}
            self._numbers += 1
            job = Job(number=self._numbers, output=name(taken.__contains__), **facts)
            self._waiting.append(job)
            self._changed.notify()
        return job

    def find(self, number: int | None) -> Job | None:
        """A job by its number; None where there is none, or it was long ago."""
        with self._changed:
            known = (*self._unfinished(), *self._over)
            return next((job for job in known if job.number == number), None)

    def list(self) -> tuple[list[Job], list[Job]]:
        """Those that are not over, in their order, and those that are, the last one first."""
        with self._changed:
            return [*self._unfinished()], [*reversed(self._over)]

    def stop(self, number: int | None) -> bool:
        """Ask a job to stop, or take it out of the queue; tell whether there was any to stop."""
        with self._changed:
            job = next((job for job in self._unfinished() if job.number == number), None)
            if job is None:
                return False
            job._stop.set()  # noqa: SLF001 -- a job and its list are one thing
            if job in self._waiting:
                self._waiting.remove(job)
                self._end(job, "stopped")
            return True

    def work(self) -> None:
        """Do what is queued, and wait for more, until an exception that ends the program.

        To be called in the main thread: there Ctrl-C stops what is being done at once, and that
        cleans up, as in a command.
        """
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait(_LOOK_S)
                job = self._working = self._waiting.popleft()
                job.state = "working"
            self._do(job)

    def _do(self, job: Job) -> None:
        state: State = "failed"
        try:
            job.report = job.work(job)
            state = "done"
        except Stopped:
            state = "stopped"
        except Exception as error:  # noqa: BLE001 -- it must not cost the other jobs
            job.error = self._describe(error, job)
        with self._changed:
            self._working = None
            self._end(job, state)

    def _end(self, job: Job, state: State) -> None:
        job.state = state
        self._over.append(job)

    def _unfinished(self) -> Iterator[Job]:
        if self._working is not None:
            yield self._working
        yield from self._waiting
