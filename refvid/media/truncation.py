"""Is a media file shorter than its own headers say?

libav reads a truncated file to its last whole packet and then reports a normal end, so a
half-finished download would silently become a short video.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final

_MP4_BOXES: Final = frozenset(
    b"ftyp moov mdat free skip wide uuid moof mfra sidx ssix styp meta pdin emsg prft".split()
)


def missing_bytes(path: Path) -> int:
    """Return how many bytes the file lacks, 0 if it is whole or its format cannot tell."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(0)
        if head[:4] == b"\x1aE\xdf\xa3":
            end = _matroska_end(file)
        elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            end = 8 + int(struct.unpack("<I", head[4:8])[0])
        elif head[4:8] in _MP4_BOXES:
            end = _mp4_end(file, size)
        else:
            return 0
    return max(0, end - size)


def _mp4_end(file: BinaryIO, size: int) -> int:
    """Follow the top-level boxes to the end of the last one."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            extended = file.read(8)
            if len(extended) < 8:
                break
            (length,) = struct.unpack(">Q", extended)
        if length == 0:  # the last box, open-ended
            return size
        if length < 8 or kind not in _MP4_BOXES:  # trailing bytes that are no box do no harm
            return size
        position += length
    return position


def _matroska_end(file: BinaryIO) -> int:
    """Return the end of the first segment; 0 when it was written as a live stream."""
    for wanted in (b"\x1aE\xdf\xa3", b"\x18S\x80g"):
        if file.read(4) != wanted:
            return 0
        length = _read_ebml_size(file)
        if length is None:
            return 0
        if wanted == b"\x18S\x80g":
            return file.tell() + length
        file.seek(length, 1)
    return 0


def _read_ebml_size(file: BinaryIO) -> int | None:
    """Read a variable-length size; None stands for "unknown"."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    extra = 8 - first[0].bit_length()
    rest = file.read(extra)
    if len(rest) < extra:
        return None
    marker = 1 << (7 * (extra + 1))
    value = int.from_bytes(first + rest, "big") ^ marker
    return None if value == marker - 1 else value
