"""Batches in order of their numbers, drawn ahead by worker processes if there are any."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Protocol

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from refvid.training.batch import Batch


class BatchSource(Protocol):
    """Gives a batch by its number, the same one in every process."""

    def draw(self, index: int) -> Batch: ...


class Alternating:
    """Batches of one source and of another in turns, in step on all of several processes."""

    def __init__(self, first: BatchSource, second: BatchSource, processes: int) -> None:
        self.sources, self.processes = (first, second), processes

    def draw(self, index: int) -> Batch:
        return self.sources[index // self.processes % 2].draw(index)


class _Drawn(Dataset[Batch]):
    def __init__(self, source: BatchSource) -> None:
        self.source = source

    def __getitem__(self, index: int) -> Batch:
        return self.source.draw(index)


class _Numbers(Sampler[int]):
    def __init__(self, first: int, step: int) -> None:
        self.first, self.step = first, step

    def __iter__(self) -> Iterator[int]:
        return iter(count(self.first, self.step))


def draw_batches(source: BatchSource, first: int, step: int, workers: int) -> Iterator[Batch]:
    """Endless batches of the numbers `first`, `first + step`, ...

    Args:
        source: Where they come from.
        first: Number of the first one.
        step: Distance of their numbers: the processes that train together.
        workers: Processes that draw ahead; 0 draws when asked.
    """
    if workers == 0:
        return (source.draw(index) for index in count(first, step))
    batches: Iterable[Batch] = DataLoader(
        _Drawn(source),
        batch_size=None,
        sampler=_Numbers(first, step),
        num_workers=workers,
        worker_init_fn=_obey_parent_only,
        # One of its own: otherwise making a loader would move torch's global random state.
        generator=torch.Generator(),
    )
    return iter(batches)


def _obey_parent_only(_worker: int) -> None:
    """Signals are for the process that trains, though schedulers send them to the whole group.

    That one tells its workers when it is done; if it dies, they notice.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, signal.SIG_IGN)
