"""Results that are about to get their names: a process may be lost in just that moment.

What was told before the name was given says afterwards whether this very file stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Published:
    """A whole result, and how to know it again under its name."""

    output: Path
    """A file, or a pattern for images."""

    file: Path
    """Its name, or that of the first image: none appears without the others."""

    state: tuple[int, ...]
    """Of the file; a new name does not change it."""

    @classmethod
    def of(cls, output: Path, finished: Path, file: Path) -> Self:
        """Note a finished file before it is moved to its name.

        Raises:
            OSError: It is not there.
        """
        return cls(output, file, _state(finished))

    def is_there(self) -> bool:
        """Whether the file that stands there is this one."""
        try:
            return _state(self.file) == self.state
        except OSError:
            return False


Hear = Callable[[Published], None]

# How a result is written passes through many hands, and only a worker process has somebody to tell.
_hear: ContextVar[Hear | None] = ContextVar("hear", default=None)


@contextmanager
def hearing_of_results(hear: Hear) -> Iterator[None]:
    """Hear of every result of the block just before it appears."""
    token = _hear.set(hear)
    try:
        yield
    finally:
        _hear.reset(token)


def tell_of_result(output: Path, finished: Path, file: Path) -> None:
    """Tell who hears of results, if anybody does; see `Published.of`."""
    hear = _hear.get()
    if hear is not None:
        hear(Published.of(output, finished, file))


def _state(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return (status.st_ino, status.st_size, status.st_mtime_ns)
