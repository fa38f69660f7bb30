"""Wildcards that no shell has expanded: those of Windows do not, and no shell does in quotes."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path


def expand_wildcards(paths: Iterable[Path]) -> list[Path]:
    """Put files in place of wildcards, in order of their names; what matches nothing stays."""
    from refvid.media.folders import exists

    expanded: list[Path] = []
    for path in paths:
        found = []
        # A file may have such a name itself.
        if glob.has_magic(str(path)) and not exists(path):
            found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 -- absolute ones, too
        expanded += [Path(name) for name in found] or [path]
    return expanded
