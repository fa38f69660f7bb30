"""Commands in processes of their own, and what each took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=variables, cwd=folder
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, printed)
    seconds = time.perf_counter() - started
    return Ran(printed, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * _MAXRSS_UNIT)


def run_refvid(*words: str, environment: Mapping[str, str] | None = None) -> Ran:
    """Run the program as a user does."""
    return run([sys.executable, "-m", "refvid", *words], environment)
