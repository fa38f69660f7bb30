"""What `--progress json` tells of one workflow while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from refvid.progress import Progress

EVENT_EVERY_S: Final = 1.0


class EventProgress:
    """Frames done, frames/s and time left: once a second, and at the end.

    Args:
        tell: Takes the facts as keywords.
        clock: Tells the time [s].
    """

    def __init__(
        self, tell: Callable[..., None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell, self._clock = tell, clock
        self._started = self._told_at = clock()

    def update(self, progress: Progress) -> None:
        now = self._clock()
        is_last = progress.done == progress.total
        if now - self._told_at < EVENT_EVERY_S and not is_last:
            return
        self._told_at = now
        elapsed = now - self._started
        facts: dict[str, Any] = {"frames": progress.done, "total": progress.total}
        if elapsed > 0 and progress.done:
            rate = progress.done / elapsed
            facts["frames_per_second"] = round(rate, 3)
            if progress.total is not None:
                facts["seconds_left"] = round((progress.total - progress.done) / rate, 1)
        self._tell(**facts)
