"""Being stopped from outside: whoever is writing gets to remove what is not finished."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

from refvid.cli.exit_codes import exit_code_of_signal

# A terminal that is closed sends SIGHUP, which Windows has not.
_STOPS = ("SIGINT", "SIGTERM", "SIGHUP")


class _Stop:
    """A signal's handler, which remembers that it was called."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> NoReturn:
        self.number = number
        self.stop()

    def stop(self) -> NoReturn:
        """Raise what ends the program."""
        assert self.number is not None
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(exit_code_of_signal(self.number))


def clean_up_when_stopped() -> None:
    """Have the signals that end a program raise an exception; most would end it at once."""
    for name in _STOPS:
        number = getattr(signal, name, None)
        # What is ignored stays so: SIGHUP under `nohup`, SIGINT in the background of a script.
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _Stop())


def check_stopped() -> None:
    """Stop again, where a signal came and its exception was lost.

    A signal that arrives while C calls Python may end as another error, or as none.

    Raises:
        KeyboardInterrupt, SystemExit: A signal came.
    """
    for name in _STOPS:
        number = getattr(signal, name, None)
        handler = None if number is None else signal.getsignal(number)
        if isinstance(handler, _Stop) and handler.number is not None:
            handler.stop()
