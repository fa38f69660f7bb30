"""The program as a fork of what has imported everything, killed at moments that a test names."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import refvid.__main__
import refvid.distribution.processes
import refvid.rebuild.resuming
from tests.program import IMPORTED, SERVER, Forking, begin, its_own_end, take_environment

_POLL_S = 0.0005


def start() -> None:
    """Begin the server with this module imported."""
    SERVER.set_forkserver_preload([__name__, *IMPORTED])


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    code: int
    """Its exit code, or minus the signal that ended it."""

    seconds: float
    """How long it took, from its first line."""

    said: str
    """What it printed."""


def run(
    words: Sequence[str],
    folder: Path,
    *,
    must_stop: Callable[[float], bool] = lambda _seconds: False,
    number: int = 0,
    stretch: int | None = None,
) -> Ended:
    """Run the program, and send it a signal once it must stop, unless it has ended.

    Args:
        words: Its command line.
        folder: Where it runs; what it prints goes to a file beside.
        must_stop: Asked all the time, with the time since its first line [s].
        number: The signal.
        stretch: Frames after which a stretch of a result is finished; None: as users have it.
    """
    log = folder.with_name(f"{folder.name}.log")
    begins, process_begins = SERVER.Pipe(duplex=False)
    given = list(words), folder, dict(os.environ), log, process_begins, stretch
    process = SERVER.Process(target=_main, args=given)
    process.start()
    assert process.pid is not None
    begins.recv()
    started = time.monotonic()
    while process.exitcode is None:
        if must_stop(time.monotonic() - started):
            os.kill(process.pid, number)
            process.join()
        time.sleep(_POLL_S)
    return Ended(process.exitcode, time.monotonic() - started, log.read_text(errors="replace"))


def _main(
    words: list[str],
    folder: Path,
    environment: dict[str, str],
    log: Path,
    begins: Connection,
    stretch: int | None,
) -> None:
    take_environment(environment)
    refvid.distribution.processes._SPAWN = Forking  # type: ignore[assignment, misc]
    if stretch is not None:
        refvid.rebuild.resuming.LEAST_FRAMES = stretch  # type: ignore[misc]
        refvid.rebuild.resuming.LEAST_PIXELS = 0  # type: ignore[misc]
        refvid.rebuild.resuming._MORE_WITHOUT_MODEL = 1  # type: ignore[misc]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    begin(words, folder)
    with its_own_end():
        begins.send(None)
        refvid.__main__.main()
