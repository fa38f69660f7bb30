"""Whether an MXF file lacks its end: its first partition says where the last one begins.

It says so where the file was finished. One that still grows, or whose recorder lost its power, has
no last partition, and is used up to where it ends.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

START: Final = bytes.fromhex("060e2b34020501010d01020101")
"""Of the name of a header partition; its status follows."""

_NAME: Final = 16
_LONG_LENGTH: Final = 0x80
_FOOTER: Final = 24
"""Place within a partition: behind versions, grid, and where this one and the one before begin."""


def missing_from_mxf(file: BinaryIO, size: int) -> int:
    """Return how many bytes a file lacks at least up to its last partition, 0 if nobody can tell.

    Args:
        file: Open at any place.
        size: Its length [bytes].
    """
    return max(0, find_footer(file) - size)


def find_footer(file: BinaryIO) -> int:
    """Where the last partition of a file begins, by the first one; 0 where it does not say so."""
    file.seek(_NAME)
    (length,) = file.read(1)
    file.seek((length & ~_LONG_LENGTH if length & _LONG_LENGTH else 0) + _FOOTER, 1)
    place = file.read(8)
    return int(struct.unpack(">Q", place)[0]) if len(place) == 8 else 0
