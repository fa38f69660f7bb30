"""How far a long step on a checkpoint file is: downloading, checking, converting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


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
