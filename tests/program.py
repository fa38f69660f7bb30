"""The program in a process of its own, without the seconds that it takes to begin.

A server imports everything once; every run is a fork of it, with streams, signals, a folder and an
exit code of its own. What a test shows of imports, closed streams or a terminal needs
`python -m refvid`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import pytest
import torch

CAN_FORK = os.name == "posix"
SERVER = cast(
    "ForkServerContext", multiprocessing.get_context("forkserver" if CAN_FORK else "spawn")
)

IMPORTED = [
    __name__,
    "refvid.__main__",
    "refvid.cli.app",
    "refvid.comparison.compare",
    "refvid.rebuild.decode",
    "refvid.rebuild.encode",
    "refvid.rebuild.enhance",
    "refvid.rebuild.stylize",
    "refvid.training.train",
    "accelerate",
    "torch._dynamo",  # which optimisers need
]
"""In the server, before the first run: what the program imports when it is needed."""

_CODE = "from refvid.__main__ import main; main()"


class Program:
    """A run that has begun.

    Args:
        words: Its command line.
        cwd: Where it runs; None: here.
        env: Its environment; None: that of here.
        code: What is run in place of the program, as `python -c` would.
        anew: Packages that read the environment when they are imported.
    """

    def __init__(
        self,
        *words: object,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        code: str = _CODE,
        anew: Sequence[str] = (),
    ) -> None:
        if not CAN_FORK:
            pytest.skip("forks the program")
        SERVER.set_forkserver_preload(IMPORTED)
        its_stdin, stdin = SERVER.Pipe(duplex=False)
        stdout, its_stdout = SERVER.Pipe(duplex=False)
        stderr, its_stderr = SERVER.Pipe(duplex=False)
        its_ends = its_stdin, its_stdout, its_stderr
        self._process = SERVER.Process(
            target=_main,
            args=(
                [str(word) for word in words],
                str(cwd or Path.cwd()),
                dict(os.environ if env is None else env),
                its_ends,
                code,
                tuple(anew),
            ),
        )
        self._process.start()
        for end in its_ends:
            end.close()
        self.stdin, self.stdout, self.stderr = (
            _file(end, mode) for end, mode in ((stdin, "wb"), (stdout, "rb"), (stderr, "rb"))
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.stdout, self.stderr, self.stdin):
            with suppress(BrokenPipeError):
                stream.close()
        self.wait()

    @property
    def returncode(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end [s]."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
            raise TimeoutError("the program did not end")
        return self._process.exitcode

    def communicate(self, piped: bytes = b"", timeout: float = 300) -> tuple[bytes, bytes]:
        """Give it all of its input, and take all that it says: stdout and stderr."""
        said: list[bytes] = []
        threads = [
            threading.Thread(target=_feed, args=(self.stdin, piped)),
            threading.Thread(target=lambda: said.append(self.stderr.read())),
        ]
        guard = threading.Timer(timeout, self._process.kill)
        for thread in (*threads, guard):
            thread.start()
        out = self.stdout.read()
        for thread in threads:
            thread.join()
        self.wait(timeout)
        guard.cancel()
        guard.join()
        return out, said[0]


def run(*words: object, piped: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the program to its end; options are those of `Program`."""
    if not CAN_FORK:
        command = [sys.executable, "-c", options.get("code", _CODE), *map(str, words)]
        folder, variables = options.get("cwd"), options.get("env")
        return subprocess.run(
            command, input=piped, capture_output=True, cwd=folder, env=variables, check=False
        )
    with Program(*words, **options) as program:
        out, err = program.communicate(piped)
    return subprocess.CompletedProcess([], program.wait(), out, err)


def run_in_words(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """The same, with what it says as text."""
    done = run(*words, **options)
    out, err = (said.decode().replace(os.linesep, "\n") for said in (done.stdout, done.stderr))
    return subprocess.CompletedProcess([], done.returncode, out, err)


class Forking:
    """In place of the context that worker processes are begun with, which imports all anew."""

    Pipe = staticmethod(SERVER.Pipe)

    @staticmethod
    def Process(target: Callable[..., None], args: tuple[Any, ...], *, daemon: bool) -> BaseProcess:  # noqa: N802
        SERVER.set_forkserver_preload(IMPORTED)
        given = dict(os.environ), target, args
        return SERVER.Process(target=_work, args=given, daemon=daemon)


def _work(environment: dict[str, str], target: Callable[..., None], args: tuple[Any, ...]) -> None:
    take_environment(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as it is while they are begun
    target(*args)


def _file(end: Connection, mode: str) -> BinaryIO:
    with end:
        return os.fdopen(os.dup(end.fileno()), mode)  # type: ignore[return-value]


def _feed(stdin: BinaryIO, piped: bytes) -> None:
    with suppress(BrokenPipeError), stdin:  # it may not want all of it
        stdin.write(piped)


def _main(
    words: list[str],
    folder: str,
    environment: dict[str, str],
    ends: tuple[Connection, ...],
    code: str,
    anew: tuple[str, ...],
) -> None:
    for number, end in enumerate(ends):
        os.dup2(end.fileno(), number)
        end.close()
    take_environment(environment)
    for name in [name for name in sys.modules if name.partition(".")[0] in anew]:
        del sys.modules[name]
    begin(words, folder)
    with its_own_end():
        exec(compile(code, "-c", "exec"), {"__name__": "__main__"})


@contextmanager
def its_own_end() -> Iterator[None]:
    """Have signals stop the program, and not what multiprocessing does after it: its code is 1."""
    try:
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
    except KeyboardInterrupt:
        os._exit(130)


def begin(words: list[str], folder: str | Path) -> None:
    """Have what a process has when it begins; the descriptors 0 to 2 are its streams."""
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    sys.argv = ["refvid", *words]
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # where the tests run under nohup


def take_environment(environment: dict[str, str]) -> None:
    """Have another one than the server, which has that of its beginning."""
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # it is where the environment says
    if "OMP_NUM_THREADS" in environment:  # which is read when torch is imported
        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
