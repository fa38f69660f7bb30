"""Being stopped from outside: whoever is writing gets to remove what is not finished."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

from refvid.cli.exit_codes import exit_code_of_signal

# Ctrl-C is Python's own. A terminal that is closed sends SIGHUP, which Windows has not.
_STOPS = ("SIGTERM", "SIGHUP")


def clean_up_when_stopped() -> None:
    """Have the signals that end a program raise `SystemExit`; the default would end it at once."""
    for name in _STOPS:
        number = getattr(signal, name, None)
        # `nohup` has it ignored, and so it stays.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(exit_code_of_signal(number))
