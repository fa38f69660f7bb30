"""Tasks on processes of this machine, handed out as workers become free.

A worker that dies is replaced, and its task begins again. Whatever ends the program ends the
workers: they are told to stop, and stop by themselves where nobody is left to tell them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from refvid.distribution.engine import Event, Losses, MakePerform, Salvage, salvage_nothing
from refvid.errors import DeviceError, RefvidError

_SPAWN: Final = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
_PATIENCE_S: Final = 10.0
"""How long a worker may take to put away what it has begun."""

_MOST_FALSE_STARTS: Final = 3


def run_in_processes(
    tasks: Sequence[Any],
    places: Sequence[str],
    make: MakePerform,
    environment: Mapping[str, str],
    may_start: Callable[[int], bool] = lambda _number: True,
    salvage: Salvage = salvage_nothing,
) -> Generator[Event, None, None]:
    """Do all tasks, and tell what is heard of them.

    Args:
        tasks: What is to be done; each is pickled when its turn comes.
        places: Of one worker each.
        make: Gets a worker ready.
        environment: Variables that workers have beside those of this process.
        may_start: Whether it is time for a task; asked in order, when something else is heard. One
            that was lost may always start.
        salvage: Asked when a worker ends in the middle of a task.

    Yields:
        Events as they come. Every task ends with finished or failed. Closing the iterator stops
        all work.

    Raises:
        RefvidError: What `make` has raised.
        DeviceError: Workers end before they are ready.
    """
    pool = _Pool(tasks, places, make, environment, may_start, salvage)
    try:
        yield from pool.run()
    finally:
        pool.close()


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection
    place: str
    task: int | None
    """None waits for one."""

    is_ready: bool = False


class _Pool:
    def __init__(
        self,
        tasks: Sequence[Any],
        places: Sequence[str],
        make: MakePerform,
        environment: Mapping[str, str],
        may_start: Callable[[int], bool],
        salvage: Salvage,
    ) -> None:
        self._tasks = tasks
        self._make = make
        self._environment = dict(environment)
        self._may_start = may_start
        self._waiting = deque(range(len(tasks)))
        self._losses = Losses(salvage)
        self._false_starts = 0
        self._free = list(places)
        self._workers: list[_Worker] = []

    def run(self) -> Iterator[Event]:
        """See `run_in_processes`."""
        while self._waiting or any(worker.task is not None for worker in self._workers):
            yield from self._hand_out()
            for connection in wait([worker.connection for worker in self._workers]):
                worker = next(each for each in self._workers if each.connection is connection)
                yield from self._hear(worker)

    def _hand_out(self) -> Iterator[Event]:
        while self._waiting and self._may_start(self._waiting[0]):
            idle = next((worker for worker in self._workers if worker.task is None), None)
            if idle is None and not self._free:
                return
            worker = idle or self._start(self._free.pop(0))
            worker.task = number = self._waiting.popleft()
            # Where it has ended just now, its connection will say so.
            with suppress(BrokenPipeError, ConnectionResetError):
                worker.connection.send((self._tasks[number],))
            yield Event("started", number, worker.place)

    def _start(self, place: str) -> _Worker:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(
            target=_work, args=(theirs, place, self._make, self._environment), daemon=True
        )
        # A terminal sends Ctrl-C to all; workers are stopped by this process.
        with _ignoring_interrupts():
            process.start()
        theirs.close()  # else its end would not be felt
        worker = _Worker(process, ours, place, None)
        self._workers.append(worker)
        return worker

    def _hear(self, worker: _Worker) -> Iterator[Event]:
        try:
            kind, content = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._bury(worker)
            return
        if kind == "ready":
            worker.is_ready, self._false_starts = True, 0
            return
        if kind == "useless":
            raise content
        assert worker.task is not None, "only who has a task tells of it"
        event = Event(kind, worker.task, worker.place, content)
        if kind != "told":
            worker.task = None
        yield event

    def _bury(self, worker: _Worker) -> Iterator[Event]:
        self._workers.remove(worker)
        worker.process.join(_PATIENCE_S)
        reason = _how_it_ended(worker.process.exitcode)
        _end(worker)
        if not worker.is_ready:
            self._false_starts += 1
            if self._false_starts >= _MOST_FALSE_STARTS:
                raise DeviceError(f"Worker processes for {worker.place} do not start: {reason}.")
        self._free.append(worker.place)
        if worker.task is None:
            return
        event = self._losses.count(worker.task, worker.place, reason)
        if event.kind == "lost":
            self._waiting.appendleft(worker.task)
        yield event

    def close(self) -> None:
        """Stop whatever still runs."""
        for worker in self._workers:
            if worker.task is not None:
                worker.process.terminate()
            else:
                with suppress(BrokenPipeError, ConnectionResetError):
                    worker.connection.send((None,))
        for worker in self._workers:
            _end(worker)
        self._workers = []


def _end(worker: _Worker) -> None:
    try:
        worker.process.join(_PATIENCE_S)
    finally:
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.connection.close()
        worker.process.close()


def _how_it_ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = "; the system does that where main memory runs out" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{hint}"


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(
    connection: Connection, place: str, make: MakePerform, environment: Mapping[str, str]
) -> None:
    """The life of a worker."""
    os.environ.update(environment)
    # What libraries print is no result.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    try:
        _serve(connection, place, make)
    finally:
        # A second one would come in the middle of the end.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _serve(connection: Connection, place: str, make: MakePerform) -> None:
    try:
        perform = make(place)
    except RefvidError as error:
        connection.send(("useless", type(error)(str(error))))
        return
    lock = threading.Lock()

    def send(kind: str, content: Any) -> None:
        with lock:  # progress is told by another thread
            connection.send((kind, content))

    send("ready", None)
    while (task := connection.recv()[0]) is not None:
        try:
            result = perform(task, lambda content: send("told", content))
        except Exception as error:  # noqa: BLE001 -- it would be the same once more
            send("failed", f"unexpected {type(error).__name__}: {error}")
        else:
            send("finished", result)


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
