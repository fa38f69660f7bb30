"""What a workflow reports while it runs."""

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


ProgressCallback = Callable[[Progress], None]
"""Called after each finished frame, in a thread of the workflow but never in two at once."""


def ignore_progress(progress: Progress) -> None:
    """A callback for callers that do not watch."""
