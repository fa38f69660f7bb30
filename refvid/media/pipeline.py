"""Read, compute and write at the same time: three stages, few items alive, no loose ends."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

T = TypeVar("T")
U = TypeVar("U")

CheckStop = Callable[[], None]
"""Call it between small steps of work: it raises `PipelineStopped` once the run is over."""

_POLL_S = 0.1
_END: Final = object()


class PipelineStopped(Exception):
    """Another stage failed or the user interrupted; never seen outside the pipeline's stages."""


def run_pipeline(
    read: Callable[[CheckStop], Iterable[T]],
    compute: Callable[[T], U],
    write: Callable[[U, CheckStop], None],
    *,
    in_flight: int = 3,
) -> None:
    """Pass every item that `read` yields through `compute` and `write`, in order.

    `read` and `write` run in threads of their own, `compute` in the calling thread. A failure or
    Ctrl-C in any stage stops all of them; when this function returns or raises, no stage is
    running any more.

    Args:
        read: Gives the items; called, and iterated, in the reading thread.
        compute: Turns an item into a result.
        write: Takes a result.
        in_flight: Most items alive at once, counted from before an item is read until its
            result is written: 3 keep all stages busy.

    Raises:
        BaseException: Whatever a stage raised first, unchanged.
    """
    _Run(in_flight).run(read, compute, write)


class _Run:
    """The state that the three stages of one run share."""

    def __init__(self, in_flight: int) -> None:
        self._slots = threading.Semaphore(in_flight)
        # The slots bound both queues.
        self._read: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._computed: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._threads: list[tuple[threading.Thread, threading.Event]] = []

    def run(
        self,
        read: Callable[[CheckStop], Iterable[T]],
        compute: Callable[[T], U],
        write: Callable[[U, CheckStop], None],
    ) -> None:
        try:
            self._start("reader", self._read_all, read)
            self._start("writer", self._write_all, write)
            self._compute_all(compute)
            self._join()
        except PipelineStopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again below, once all is quiet
            self._fail(error)
        finally:
            self._stop.set()  # also where a second interruption came before the first was noted
            self._join()
        if self._failure is not None:
            try:
                raise self._failure
            finally:
                self._failure = None  # no cycle through the traceback: it would keep frames alive

    def _read_all(self, read: Callable[[CheckStop], Iterable[T]]) -> None:
        items = iter(read(self._check))
        while True:
            while not self._slots.acquire(timeout=_POLL_S):
                self._check()
            item = next(items, _END)
            self._read.put(item)
            if item is _END:
                return
            del item  # else it lives on while this thread waits for a slot

    def _compute_all(self, compute: Callable[[T], U]) -> None:
        while (item := self._take(self._read)) is not _END:
            result = compute(item)
            del item
            self._computed.put(result)
            del result
        self._computed.put(_END)

    def _write_all(self, write: Callable[[U, CheckStop], None]) -> None:
        while (result := self._take(self._computed)) is not _END:
            write(result, self._check)
            del result
            self._slots.release()

    def _take(self, items: queue.SimpleQueue[Any]) -> Any:
        while True:
            self._check()
            try:
                return items.get(timeout=_POLL_S)  # short: Windows delays Ctrl-C while waiting
            except queue.Empty:
                continue

    def _start(self, name: str, stage: Callable[[Any], None], work: Any) -> None:
        ended = threading.Event()
        thread = threading.Thread(target=self._guard, args=(stage, work, ended), name=name)
        thread.start()
        self._threads.append((thread, ended))

    def _guard(self, stage: Callable[[Any], None], work: Any, ended: threading.Event) -> None:
        try:
            self._check()
            stage(work)
        except PipelineStopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            self._fail(error)
        finally:
            ended.set()

    def _check(self) -> None:
        if self._stop.is_set():
            raise PipelineStopped

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._failure is None:
                self._failure = error
        self._stop.set()

    def _join(self) -> None:
        """Wait for the threads; an impatient second Ctrl-C or kill does not leave them running."""
        for thread, ended in self._threads:
            # `join` alone is not enough: interrupted, it takes the thread for ended (Python 3.11).
            while not ended.is_set():
                try:
                    ended.wait(_POLL_S)
                except (KeyboardInterrupt, SystemExit) as error:
                    self._fail(error)
            thread.join()
