"""Whether an ASF file (.wmv, .asf) lacks its end, told by the object that holds its packets.

An index that is missing behind it does no harm, and a live recording leaves its size open.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

START: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
"""Of every file: its header's name."""

_DATA: Final = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_MOST_OBJECTS: Final = 1000
_LEAST_LENGTH: Final = 24


def missing_from_asf(file: BinaryIO, size: int) -> int:
    """Return how many bytes of its packets a file lacks, 0 if none or if nobody can tell.

    Args:
        file: Open at any place.
        size: Its length [bytes].
    """
    position = 0
    for _ in range(_MOST_OBJECTS):
        if position + _LEAST_LENGTH > size:
            break
        file.seek(position)
        name, length = struct.unpack("<16sQ", file.read(_LEAST_LENGTH))
        if length < _LEAST_LENGTH:
            break
        position += length
        if name == _DATA:
            return max(0, int(position) - size)
    return 0
