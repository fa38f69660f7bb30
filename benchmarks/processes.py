"""Commands in processes of their own, and what each took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    printed: str
    seconds: float
    processor: float
    """User and system [s]."""

    peak: int
    """Memory [bytes]."""

    @property
    def report(self) -> dict[str, Any]:
        """Of the first input, where the command was given `--json`."""
        report: dict[str, Any] = json.loads(self.printed)["results"][0]["report"]
        return report


def run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Ran:
    """Run a command, in a folder and with further variables if need be.

    Raises:
        subprocess.CalledProcessError: It failed; stderr is shown as it comes.
    """
    started = time.perf_counter()
    variables = {**os.environ, **(environment or {})}
    with tempfile.TemporaryFile("w+") as used:
        with subprocess.Popen(
            [sys.executable, "-S", "-c", _LAUNCHER, str(used.fileno()), *command],
            stdout=subprocess.PIPE,
            text=True,
            env=variables,
            cwd=folder,
            pass_fds=[used.fileno()],
        ) as process:
            assert process.stdout is not None
            printed = process.stdout.read()
        seconds = time.perf_counter() - started
        used.seek(0)
        code, processor, peak = used.read().split()
    if int(code):
        raise subprocess.CalledProcessError(int(code), command, printed)
    return Ran(printed, seconds, float(processor), int(peak) * _MAXRSS_UNIT)


_LAUNCHER = """
import os, sys
process = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(process, 0)
code = os.waitstatus_to_exitcode(status)
os.write(int(sys.argv[1]), f"{code} {used.ru_utime + used.ru_stime} {used.ru_maxrss}".encode())
"""
"""A small process in between: Linux counts what a process had before it became another program, and
that is its parent's memory."""


def run_refvid(*words: str, environment: Mapping[str, str] | None = None) -> Ran:
    """Run the program as a user does."""
    return run([sys.executable, "-m", "refvid", *words], environment)
