"""The program's standard streams, which whoever starts it may have closed."""

from __future__ import annotations

import os
import sys


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
