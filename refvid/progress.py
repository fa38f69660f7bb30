"""How far a long piece of work is: frames done, bytes moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Frames finished so far."""

    done: int
    total: int | None
    """None where the container does not tell the number of frames; an estimate where it does
    not tell it exactly."""

    begun: int = 0
    """Of those that are done, the ones that an interrupted run had finished."""


ProgressCallback = Callable[[Progress], None]
"""Called after each finished frame, in a thread of the workflow but never in two at once."""


def ignore_progress(progress: Progress) -> None:
    """A callback for callers that do not watch."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes done so far."""

    step: str
    """What is being done, e.g. `downloading wan2.1`; it changes when the next step begins."""

    done: int
    total: int | None
    """None where a server does not tell the size."""


TransferCallback = Callable[[Transfer], None]


def ignore_transfer(transfer: Transfer) -> None:
    """A callback for callers that do not watch."""
