"""What runs tasks elsewhere has in common: how they are done, and what is heard of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

Tell = Callable[[Any], None]
"""Sends something to whoever waits for a task, while it is done."""

Perform = Callable[[Any, Tell], Any]
"""Does one task. What it raises is a bug: failures that can be told are results."""

MakePerform = Callable[[str], Perform]
"""Gets a worker ready for its place, once. It is pickled, and so are tasks, results and all that is
told.

Raises:
    RefvidError: The place is of no use; then no task begins.
"""

MOST_LOSSES: Final = 3
"""How often the worker of one task may end before the task counts as failed."""


@dataclass(frozen=True, slots=True)
class Event:
    """What is heard of a task."""

    kind: Literal["started", "told", "lost", "finished", "failed"]
    """lost: its worker has ended, and the task begins again. failed: once too often."""

    number: int
    """Of the task, from 0."""

    place: str
    content: Any = None
    """What was told, the result, or in words how the worker ended."""


Salvage = Callable[[int], Any]
"""Gives the result of a task whose worker has ended, if the work was done; else None."""


def salvage_nothing(_number: int) -> None:
    """A task whose worker has ended begins again."""


class Losses:
    """Counts how often the workers of each task have ended."""

    def __init__(self, salvage: Salvage) -> None:
        self._salvage = salvage
        self._counts: dict[int, int] = {}

    def count(self, number: int, place: str, reason: str) -> Event:
        """Take note of one more, and tell what becomes of the task."""
        result = self._salvage(number)
        if result is not None:
            return Event("finished", number, place, result)
        self._counts[number] = count = self._counts.get(number, 0) + 1
        return Event("failed" if count >= MOST_LOSSES else "lost", number, place, reason)
