"""The program, without the seconds that it takes to begin.

A server imports everything once; every run is a fork of it, with handlers, files and exit code of
its own. It can be killed as any other process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

# In the server, before the first run: what the program imports when it is needed.
import refvid.__main__
import refvid.cli.app
import refvid.rebuild.decode
import refvid.rebuild.encode
import refvid.rebuild.enhance
import refvid.rebuild.resuming
import refvid.rebuild.stylize

_POLL_S = 0.0005

SERVER: ForkServerContext = multiprocessing.get_context("forkserver")


def start() -> None:
    """Begin the server with this module imported."""
    SERVER.set_forkserver_preload([__name__])


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
    process = SERVER.Process(target=_main, args=(list(words), folder, log, process_begins, stretch))
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
    words: list[str], folder: Path, log: Path, begins: Connection, stretch: int | None
) -> None:
    if stretch is not None:
        refvid.rebuild.resuming.LEAST_FRAMES = stretch  # type: ignore[misc]
        refvid.rebuild.resuming.LEAST_PIXELS = 0  # type: ignore[misc]
        refvid.rebuild.resuming._MORE_WITHOUT_MODEL = 1  # type: ignore[misc]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.argv = ["refvid", *words]
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # where the tests run under nohup
    begins.send(None)
    refvid.__main__.main()
