"""Whether a Matroska or WebM file lacks its end, told by its elements.

A segment that knows its length says what is missing. One that does not, a live recording's, ends
with one of its elements or within it.
"""

from __future__ import annotations

from typing import BinaryIO, Final

START: Final = b"\x1aE\xdf\xa3"
"""Of every file: its header's number."""

_EBML_HEADER: Final = 0x1A45DFA3
_SEGMENT: Final = 0x18538067
_CLUSTER: Final = 0x1F43B675
_SPARE_ELEMENTS: Final = frozenset({0x1C53BB6B, 0xEC, 0xBF})  # Cues, Void, CRC-32


def missing_from_matroska(file: BinaryIO, size: int) -> int:
    """Follow the elements of the first segment to its end; 0 where it is a live stream.

    Args:
        file: Open at its start.
        size: Its length [bytes].
    """
    for wanted in (_EBML_HEADER, _SEGMENT):
        element, length = _read_element(file)
        if element != wanted or length is None:
            return 0
        if wanted == _EBML_HEADER:
            _skip(file, length, size)
    assert length is not None
    end = file.tell() + length
    if end <= size:
        return 0
    # The segment claims more than there is: which of its elements is cut?
    has_clusters = False
    while file.tell() < size:
        element, length = _read_element(file)
        if element is None or length is None:
            break
        if has_clusters and element in _SPARE_ELEMENTS and file.tell() + length > size:
            return 0
        has_clusters |= element == _CLUSTER
        _skip(file, length, size)
    return end - size


def ends_within_an_element(file: BinaryIO, size: int) -> bool:
    """Whether a recording that never said how long it is ends within something.

    Args:
        file: Open at its start.
        size: Its length [bytes].
    """
    while file.tell() < size:
        element, length = _read_element(file)
        if length is None and element not in (_SEGMENT, _CLUSTER):
            return file.tell() >= size  # not even its header is whole; else nobody can tell
        _skip(file, length or 0, size)
    return file.tell() > size


def _skip(file: BinaryIO, length: int, size: int) -> None:
    """Go on, at most to just past the end: a file system refuses what lies beyond its limits."""
    file.seek(min(file.tell() + length, size + 1))


def _read_element(file: BinaryIO) -> tuple[int | None, int | None]:
    """Read an EBML element's number, None at the end, and its size, None where it is left open."""
    first = file.read(1)
    if not first or first[0] < 0x10:
        return None, None
    rest = file.read(8 - first[0].bit_length())
    return int.from_bytes(first + rest, "big"), _read_size(file)


def _read_size(file: BinaryIO) -> int | None:
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
