"""Tasks on the devices of a Ray cluster: an actor for each, tasks handed out as these become free.

Ray knows the machines, starts processes on them and notices when one is lost. What is to be done
next is decided here, as for the processes of one machine: a task whose worker is lost begins again.
"""

from __future__ import annotations

import logging
import queue
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO, cast

from refvid.distribution.engine import Event, Losses, MakePerform, Salvage, salvage_nothing
from refvid.errors import DeviceError, OptionError, RefvidError

logger = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 2.0
"""How often machines are looked for."""

_PATIENCE_S: Final = 60.0
"""How long the first task waits for all workers, which may be needed by other programs; and how
long all may be lost."""


def run_on_cluster(
    tasks: Sequence[Any],
    address: str,
    places: Sequence[str],
    make: MakePerform,
    salvage: Salvage = salvage_nothing,
) -> Generator[Event, None, None]:
    """Do all tasks, and tell what is heard of them.

    Args:
        tasks: What is to be done; each is pickled when its turn comes.
        address: Of the cluster; auto finds the one that this machine is part of.
        places: Of one machine: cpu, once for each worker; all else takes every graphics card, or
            the processors where there is none.
        make: Gets a worker ready.
        salvage: Asked when a worker is lost in the middle of a task.

    Yields:
        As `run_in_processes`.

    Raises:
        RefvidError: What `make` has raised on any machine at the start.
        OptionError: Ray is not installed.
        DeviceError: There is no such cluster, or all of its machines are lost.
    """
    stdout, own = sys.stdout, _OwnOutput(sys.stdout)
    sys.stdout = cast("TextIO", own)
    try:
        ray = _connect(address)
        cluster = _Cluster(ray, tasks, places, make, salvage)
        try:
            yield from cluster.run()
        finally:
            cluster.close()
            own.is_open = False
            ray.shutdown()  # tells what it has held back
    finally:
        sys.stdout = stdout


class _OwnOutput:
    """stdout for one thread: those of Ray print there what happens to the cluster."""

    def __init__(self, stream: TextIO) -> None:
        self.is_open = True
        """Off while this thread is Ray's, too."""

        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        if self.is_open and threading.get_ident() == self._thread:
            return self._stream.write(text)
        if text.strip():
            logger.info("%s", text.strip())
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _connect(address: str) -> Any:
    try:
        import ray  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise OptionError("--ray needs Ray: pip install ray") from error
    host, _, port = address.rpartition(":")
    try:
        if host and port.isdecimal():  # Ray itself would try for minutes
            socket.create_connection((host.removeprefix("ray://"), int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DeviceError(
            f"There is no Ray cluster at {address} ({reason}); ray start --head begins one."
        ) from error
    return ray


class _Work:
    """Becomes an actor; tells while it works."""

    def __init__(self) -> None:
        self._perform: Any = None

    def get_ready(self, make: MakePerform, place: str) -> RefvidError | None:
        try:
            self._perform = make(place)
        except RefvidError as error:
            return type(error)(str(error))
        return None

    def perform(self, task: Any) -> Iterator[tuple[str, Any]]:
        heard: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

        def work() -> None:
            try:
                result = self._perform(task, lambda content: heard.put(("told", content)))
            except Exception as error:  # noqa: BLE001 -- it would be the same once more
                heard.put(("failed", f"unexpected {type(error).__name__}: {error}"))
            else:
                heard.put(("finished", result))

        threading.Thread(target=work, daemon=True).start()
        while True:
            kind, content = heard.get()
            yield kind, content
            if kind != "told":
                return


@dataclass(slots=True, eq=False)
class _Worker:
    handle: Any
    node: str
    place: str
    heard: Any
    """What is waited for: that it is ready, or what it tells."""

    task: int | None = None
    is_ready: bool = False


class _Cluster:
    def __init__(
        self,
        ray: Any,
        tasks: Sequence[Any],
        places: Sequence[str],
        make: MakePerform,
        salvage: Salvage,
    ) -> None:
        self._ray = ray
        self._tasks = tasks
        self._make = ray.put(make)
        self._per_node = places.count("cpu")
        self._actor = ray.remote(_Work)
        self._waiting = deque(range(len(tasks)))
        self._losses = Losses(salvage)
        self._workers: list[_Worker] = []
        self._left = len(tasks)
        self._looked_at = 0.0

    def run(self) -> Iterator[Event]:
        """See `run_on_cluster`."""
        started = seen_at = time.monotonic()
        has_begun = False
        while self._left:
            now = time.monotonic()
            self._look_for_machines(now)
            seen_at = now if self._workers else seen_at
            if now - seen_at > _PATIENCE_S:
                raise DeviceError("No machine of the Ray cluster can take jobs any more.")
            for worker in self._wait():
                yield from self._hear(worker, may_be_useless=has_begun)
            # Before the first task begins, all machines have seen its files.
            all_ready = all(worker.is_ready for worker in self._workers)
            if has_begun or (self._workers and all_ready) or now - started > _PATIENCE_S:
                has_begun = True
                yield from self._hand_out()

    def close(self) -> None:
        """Stop whatever still runs."""
        for worker in self._workers:
            self._ray.kill(worker.handle)

    def _look_for_machines(self, now: float) -> None:
        """Have a worker on every device of every machine."""
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        cards = {node["NodeID"]: int(node["Resources"].get("GPU", 0)) for node in nodes}
        has_cards = any(cards.values()) and not self._per_node
        per_node = max(self._per_node, 1)
        have = Counter(worker.node for worker in self._workers)
        for node in nodes:
            cores = node["Resources"].get("CPU", 0)
            name = node["NodeID"]
            wanted = cards[name] if has_cards else per_node if cores else 0
            for _ in range(min(wanted - have[name], len(self._waiting))):
                needs: dict[str, float] = (
                    {"num_gpus": 1} if has_cards else {"num_cpus": max(cores // per_node, 1)}
                )
                where = f"{'cuda' if has_cards else 'cpu'} of {node['NodeManagerHostname']}"
                self._start(name, where, needs)

    def _start(self, node: str, place: str, needs: dict[str, float]) -> None:
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        handle = self._actor.options(
            **{"num_cpus": 0, **needs}, scheduling_strategy=strategy(node, soft=False)
        ).remote()
        ready = handle.get_ready.remote(self._make, place.partition(" ")[0])
        self._workers.append(_Worker(handle, node, place, ready))

    def _wait(self) -> list[_Worker]:
        by_ref = {worker.heard: worker for worker in self._workers if worker.heard is not None}
        if not by_ref:
            time.sleep(0.1)
            return []
        found, _ = self._ray.wait(list(by_ref), num_returns=1, timeout=_LOOK_EVERY_S)
        return [by_ref[ref] for ref in found]

    def _hear(self, worker: _Worker, *, may_be_useless: bool) -> Iterator[Event]:
        try:
            content = self._ray.get(worker.heard if worker.task is None else next(worker.heard))
        except self._ray.exceptions.RayError as error:
            yield from self._bury(worker, error)
            return
        if worker.task is None:
            worker.heard, worker.is_ready = None, True
            if content is not None and not may_be_useless:
                raise content
            if content is not None:
                logger.warning("%s joined, but is of no use: %s", worker.place, content)
                worker.is_ready = False  # it stays, so that it is not tried again
            return
        kind, content = content
        yield Event(kind, worker.task, worker.place, content)
        if kind != "told":
            self._left -= 1
            worker.task = worker.heard = None

    def _hand_out(self) -> Iterator[Event]:
        for worker in self._workers:
            if self._waiting and worker.is_ready and worker.task is None:
                worker.task = self._waiting.popleft()
                perform = worker.handle.perform.options(num_returns="streaming")
                worker.heard = perform.remote(self._tasks[worker.task])
                yield Event("started", worker.task, worker.place)

    def _bury(self, worker: _Worker, error: Exception) -> Iterator[Event]:
        self._workers.remove(worker)
        if worker.task is None:
            return
        reason = f"{worker.place} was lost ({' '.join(str(error).split())[:120]})"
        event = self._losses.count(worker.task, worker.place, reason)
        if event.kind == "lost":
            self._waiting.appendleft(worker.task)
        else:
            self._left -= 1
        yield event
