"""Whether an AVI file lacks its end, told by its chunks.

The size at its start is not to be trusted: 0 or 4 GiB in what a recorder or a pipe wrote, 8 bytes
too much from programs that count the header, and the index after the frames counts in it too. The
list `movi` holds the frames: its end decides, and where that is not in the file, its chunks do.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

_OPEN_ENDED: Final = frozenset({0, 0xFFFFFFFF})
_LARGEST_HEADER: Final = 2**24


class _Chunk(NamedTuple):
    """A piece of a RIFF file."""

    name: bytes
    start: int
    """Where its contents begin."""

    length: int

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def next(self) -> int:
        """Where the next one begins: chunks of an odd length are followed by a zero."""
        return self.end + self.length % 2


def missing_from_avi(file: BinaryIO, size: int) -> int:
    """Return how many bytes an AVI file lacks, 0 if no frames are among them or nobody can tell.

    Args:
        file: Open at any place.
        size: Its length [bytes].
    """
    position = 0
    frames_told = 0
    while (part := _read_chunk(file, position, size)) is not None and part.name == b"RIFF":
        # A large file goes on in further parts (OpenDML).
        told_end = 0 if part.length in _OPEN_ENDED else part.end
        movi = None
        for chunk in _chunks(file, part.start + 4, size):
            kind = file.read(4) if chunk.name == b"LIST" else b""
            if kind == b"hdrl" and position == 0:
                frames_told = _frames_told(file, chunk, size)
            if kind == b"movi":
                movi = chunk
                break
        if movi is None:
            return max(0, told_end - size)
        if movi.length in _OPEN_ENDED:
            return 0
        if movi.end > size:
            found, is_exact = _count_frames(file, movi, size)
            is_whole = is_exact and 0 < frames_told <= found
            return 0 if is_whole else max(movi.end, told_end) - size
        position = part.next
    return 0


def _chunks(file: BinaryIO, position: int, size: int) -> Iterator[_Chunk]:
    """Go through chunks up to the end of the file; the file stands at each one's contents."""
    while (chunk := _read_chunk(file, position, size)) is not None:
        yield chunk
        position = chunk.next


def _read_chunk(file: BinaryIO, position: int, size: int) -> _Chunk | None:
    if position + 8 > size:
        return None
    file.seek(position)
    name, length = struct.unpack("<4sI", file.read(8))
    if not all(0x20 <= byte < 0x7F for byte in name):
        return None
    return _Chunk(name, position + 8, length)


def _frames_told(file: BinaryIO, header: _Chunk, size: int) -> int:
    """Frames in the first part, by the main header `avih`; 0 where that is not there."""
    for chunk in _chunks(file, header.start + 4, min(header.end, size, _LARGEST_HEADER)):
        if chunk.name == b"avih" and chunk.length >= 20:
            return int(struct.unpack("<I", file.read(20)[16:])[0])
    return 0


def _count_frames(file: BinaryIO, movi: _Chunk, size: int) -> tuple[int, bool]:
    """Count the frames in a list, and tell whether its chunks end where the file does."""
    frames = 0
    position = movi.start + 4
    while (chunk := _read_chunk(file, position, size)) is not None:
        if chunk.name == b"LIST":  # `rec `, a group of chunks
            position = chunk.start + 4
            continue
        if chunk.end > size:
            return frames, False
        frames += chunk.name[2:] in (b"db", b"dc")
        position = chunk.next
    return frames, position in (size, size + 1)
