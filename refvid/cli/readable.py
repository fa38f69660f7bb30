"""Numbers and texts as a person reads them."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d\u00ad"
"""They change how neighbours are written, in Persian and in emoji, and nothing else."""


def format_duration(seconds: float) -> str:
    """`0:07`, `3:20` or `1:02:09`."""
    minutes, seconds = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def format_bytes(count: float) -> str:
    """`512 B`, `3.4 MiB`, `12.0 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def visible(text: str) -> str:
    """A text on one line in which every character shows.

    Names, metadata and answers of servers come from others. Raw, their control characters could
    clear the screen or forge lines, and their marks of direction could turn a name around.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    code = ord(character)
    if category not in ("Cc", "Cf", "Cs", "Zl", "Zp") or character in _JOINERS:
        return character
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is no text
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
