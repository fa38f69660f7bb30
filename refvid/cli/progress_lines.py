"""How far work is, in plain lines: for logs and pipes, where a bar would be in the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from refvid.cli.readable import format_bytes, format_duration
from refvid.wording import counted

if TYPE_CHECKING:
    from refvid.progress import Progress, Transfer

LINE_EVERY_S = 30.0
MOMENT_S = 2.0


class LineProgress:
    """A line per tenth of the work, or per half minute."""

    def __init__(
        self,
        label: str,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        unit: str = "frame",
    ) -> None:
        self._unit = unit
        self._label, self._say, self._clock = label, say, clock
        self._started = self._said_at = clock()
        self._said_tenths = 0

    def update(self, progress: Progress) -> None:
        now = self._clock()
        # Whole numbers: 0.1 + 0.1 + ... never quite reaches the next tenth.
        tenths = 10 * progress.done // progress.total if progress.total else 0
        if tenths <= self._said_tenths and now - self._said_at < LINE_EVERY_S:
            return
        self._said_tenths, self._said_at = tenths, now
        elapsed = now - self._started
        if not progress.total:
            text = f"{counted(progress.done, self._unit)}, {format_duration(elapsed)} so far"
        elif progress.done >= progress.total:
            text = f"100 %, {counted(progress.done, self._unit)}"
        else:
            share = progress.done / progress.total
            made = progress.done - progress.begun
            seconds = elapsed * (progress.total - progress.done) / made if made else 0.0
            left = f", {format_duration(seconds)} left" * bool(made)
            text = f"{100 * share:.0f} %, {progress.done}/{progress.total} {self._unit}s{left}"
        self._say(f"{self._label}: {text}")


class TransferLines:
    """A line per step and now and then; steps of a moment pass in silence."""

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._clock = say, clock
        self._step: str | None = None
        self._said_at = 0.0
        self._said_tenths = 0

    def update(self, transfer: Transfer) -> None:
        now = self._clock()
        if transfer.step != self._step:
            self._step, self._said_at, self._said_tenths = transfer.step, now, 0
        tenths = 10 * transfer.done // transfer.total if transfer.total else 0
        quiet_for = now - self._said_at
        if quiet_for < LINE_EVERY_S and (quiet_for < MOMENT_S or tenths <= self._said_tenths):
            return
        self._said_at, self._said_tenths = now, tenths
        whole = f" of {format_bytes(transfer.total)}" if transfer.total else ""
        self._say(f"{transfer.step}: {format_bytes(transfer.done)}{whole}")
