"""What is noticed while a file is read: one line for each kind, however often it happens."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Remarks:
    """Counts what happens again and again, and says it once, at the end."""

    path: Path
    """The file they are about."""

    _kinds: dict[str, list[int]] = field(init=False, default_factory=dict)
    """Count and first place of each kind."""

    def add(self, kind: str, place: int, count: int = 1) -> None:
        """Take note of something.

        Args:
            kind: A sentence without its subject, in which `{count}` and `{first}` stand for how
                often and where it happened first.
            place: Where it happens: the index of a frame, of a track, ...
            count: How often.
        """
        if count:
            self._kinds.setdefault(kind, [0, place])[0] += count

    def say(self) -> None:
        """Log what was noticed since the last call."""
        kinds, self._kinds = self._kinds, {}
        for kind, (count, first) in kinds.items():
            logger.warning("%s: %s", self.path, kind.format(count=count, first=first))
