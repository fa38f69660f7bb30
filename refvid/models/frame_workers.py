"""Several frames at a time on a CPU: small convolutions use many threads badly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

Submit = Callable[..., "Future[Any]"]

_PIXELS_IN_FLIGHT = 1 << 22
"""Bounds the frames that CPU workers hold: ten of 480p, two of 1080p, one of 2160p."""


def count_workers(device: torch.device, area: int) -> int:
    """Frames of so many pixels that are rebuilt at a time."""
    if device.type != "cpu":
        return 1
    return min(torch.get_num_threads(), max(1, _PIXELS_IN_FLIGHT // area))


@contextmanager
def frame_workers(device: torch.device, area: int) -> Iterator[Submit]:
    """Workers for as many frames of so many pixels as threads and memory allow."""
    workers = count_workers(device, area)
    if workers == 1:
        yield _run_now
        return
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield pool.submit
        finally:
            pool.shutdown(cancel_futures=True)
            # A worker's call also sets the default for threads that start later.
            torch.set_num_threads(threads)


def _run_now(work: Callable[..., Any], *arguments: Any) -> Future[Any]:
    done: Future[Any] = Future()
    done.set_result(work(*arguments))
    return done
