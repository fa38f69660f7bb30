"""Names of files that are made from other names: they must not become too long."""

from __future__ import annotations

import os
from typing import Final

_LONGEST: Final = 255
"""Bytes that the usual file systems take."""


def fitting_name(stem: str, ending: str) -> str:
    """Put an ending behind a stem, which loses its last letters where both are too long."""
    room = _LONGEST - len(os.fsencode(ending))
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return f"{stem}{ending}"


def is_full(name: str) -> bool:
    """Whether `fitting_name` may have shortened a name: a letter has up to four bytes."""
    return len(os.fsencode(name)) > _LONGEST - 4
