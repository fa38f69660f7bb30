"""What lay before the last chunks of a shot: an interrupted run may have to begin with one of them.

A state can be far larger than what it was made of: the last frames themselves, say. What these have
left in it is not kept then. The run goes on some chunks earlier with the state from there, and
throws the frames away that it has already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkStart:
    """The start of a chunk; positions count as chunks do, in frames or in latents."""

    position: int
    """Of what it begins with."""

    shared: int
    """How much of that the chunk before has had, too."""

    starts_shot: bool
    """Whether it needs no state."""

    tensors: Mapping[str, Tensor]
    facts: dict[str, Any]
    """Both as of `Session.snapshot`."""

    @property
    def new(self) -> int:
        """Position of what no chunk before has had."""
        return self.position + self.shared


class ChunkStarts:
    """Those of the last chunks, as far back as may be needed.

    Args:
        recomputed: See `BackboneLimits.recomputed`.
    """

    def __init__(self, recomputed: int) -> None:
        self._recomputed = recomputed
        self._last: deque[ChunkStart] = deque()

    @property
    def are_needed(self) -> bool:
        """Whether it may be with another chunk than the one that comes next."""
        return self._recomputed > 0

    def add(self, start: ChunkStart) -> None:
        """Remember the start of the next chunk."""
        self._last.append(start)
        while len(self._last) > 1 and self._is_enough(self._last[1], start):
            self._last.popleft()

    def begin(self) -> ChunkStart:
        """The last one from which the state at the start of the next chunk comes out whole."""
        now = self._last[-1]
        return next(one for one in reversed(self._last) if self._is_enough(one, now))

    def _is_enough(self, start: ChunkStart, now: ChunkStart) -> bool:
        if start.starts_shot or now.new - start.new >= self._recomputed:
            return True
        return "state" not in now.facts["model"]  # there is nothing to be made whole
