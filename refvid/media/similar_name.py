"""A slip of the pen in a file's name: which one was meant?"""

from __future__ import annotations

import os
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Final

_MOST_NAMES: Final = 2000
"""In a folder; looking through more of them would be felt."""

_ALIKE: Final = 0.8


def did_you_mean(path: Path) -> str:
    """Words for the end of a message about a file that is not there; empty where none is alike."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, _MOST_NAMES)]
    except (OSError, ValueError):
        return ""
    alike = get_close_matches(path.name, names, n=1, cutoff=_ALIKE)
    return f"; did you mean {path.with_name(alike[0])}?" if alike else ""
