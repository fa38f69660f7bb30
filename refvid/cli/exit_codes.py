"""What the program's exit code is, for one error and for a batch."""

from __future__ import annotations

from collections.abc import Iterable

from refvid.errors import BATCH_EXIT_CODE, DeviceError, RefvidError, is_out_of_memory

BUG_EXIT_CODE = 1


def exit_code_of(error: BaseException) -> int:
    """The exit code for an error, whoever raised it."""
    if isinstance(error, RefvidError):
        return error.exit_code
    return DeviceError.exit_code if is_out_of_memory(error) else BUG_EXIT_CODE


def exit_code_of_signal(number: int) -> int:
    """The exit code of a program that a signal has stopped, as shells tell it."""
    return 128 + number


def batch_exit_code(errors: Iterable[BaseException]) -> int:
    """0, the code that all failures share, or `BATCH_EXIT_CODE`."""
    codes = {exit_code_of(error) for error in errors}
    if not codes:
        return 0
    return codes.pop() if len(codes) == 1 else BATCH_EXIT_CODE
