"""The program's standard streams, which whoever starts it may have closed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from refvid.errors import OutputError


def fill_closed_streams() -> None:
    """Open what is closed of stdin, stdout and stderr, to nowhere.

    Else the first files that are opened get their numbers, and what libraries print would be
    written into the user's results. `sys.stdout` stays None: results must not go nowhere in
    silence.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


@contextmanager
def taken_stdout() -> Iterator[BinaryIO]:
    """Keep standard output for a video: whatever else is printed there goes to stderr.

    Also what libraries print past Python.

    Raises:
        OutputError: It is closed.
    """
    stdout = sys.stdout
    if stdout is None:
        raise OutputError("Cannot write to standard output: it is closed.")
    stdout.flush()
    sys.stdout = sys.stderr
    try:
        try:
            number = stdout.fileno()
        except (OSError, ValueError):  # in memory, in tests
            yield stdout.buffer
            return
        kept = os.dup(number)
        os.dup2(2, number)
        try:
            with open(kept, "wb", closefd=False) as video:
                yield video
        finally:
            os.dup2(kept, number)
            os.close(kept)
    finally:
        sys.stdout = stdout
