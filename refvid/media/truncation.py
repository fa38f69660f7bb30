"""Is a media file shorter than what it holds?

libav reads a truncated file to its last whole packet and then reports a normal end, so a
half-finished download would silently become a short video. But the sizes in a file's headers may be
wrong where nothing is missing: recorders leave them open, count their own header, or lose an index
that no frame depends on. So a size is where the search begins, and what lies in the file decides.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO, Final

from refvid.media.asf_objects import START as ASF_START
from refvid.media.asf_objects import missing_from_asf
from refvid.media.avi_chunks import missing_from_avi
from refvid.media.container import input_errors, open_container
from refvid.media.mxf_partitions import START as MXF_START
from refvid.media.mxf_partitions import missing_from_mxf
from refvid.media.y4m import START as Y4M_START
from refvid.media.y4m import missing_from_y4m

_MP4_BOXES: Final = frozenset(
    b"ftyp moov mdat free skip wide uuid moof mfra sidx ssix styp meta pdin emsg prft".split()
)
# Padding, and indexes for seeking: without them every frame is still there.
_SPARE_MP4_BOXES: Final = frozenset(b"free skip wide mfra sidx ssix pdin emsg prft".split())

_EBML_HEADER: Final = 0x1A45DFA3
_SEGMENT: Final = 0x18538067
_CLUSTER: Final = 0x1F43B675
_SPARE_ELEMENTS: Final = frozenset({0x1C53BB6B, 0xEC, 0xBF})  # Cues, Void, CRC-32


def missing_bytes(path: Path) -> int:
    """Return how many bytes the file lacks, 0 if it is whole or its format cannot tell."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(0)
        if head[:4] == b"\x1aE\xdf\xa3":
            return _missing_from_matroska(file, size)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return missing_from_avi(file, size)
        if head == ASF_START:
            return missing_from_asf(file, size)
        if head.startswith(MXF_START):
            return missing_from_mxf(file, size)
        if head.startswith(Y4M_START):
            return missing_from_y4m(path, file, size)
        if head[4:8] in _MP4_BOXES:
            return _missing_from_mp4(path, file, size)
    return 0


def breaks_off(path: Path) -> bool:
    """Whether a recording in Matroska, which never said how long it is, ends within something.

    No, where the file is there no more: whoever reads it says that it has changed.
    """
    try:
        file = path.open("rb")
    except OSError:
        return False
    with file:
        size = os.fstat(file.fileno()).st_size
        if _read_element(file)[0] != _EBML_HEADER:
            return False
        file.seek(0)
        while file.tell() < size:
            element, length = _read_element(file)
            if length is None and element not in (_SEGMENT, _CLUSTER):
                return file.tell() >= size  # not even its header is whole; else nobody can tell
            _skip(file, length or 0, size)
        return file.tell() > size


def _missing_from_mp4(path: Path, file: BinaryIO, size: int) -> int:
    """Follow the top-level boxes to the end of the last one."""
    position = 0
    kind = b""
    is_fragmented = False
    while position + 8 <= size:
        file.seek(position)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            extended = file.read(8)
            if len(extended) < 8:
                break
            (length,) = struct.unpack(">Q", extended)
        if length == 0:  # the last box, open-ended
            return 0
        if length < 8 or kind not in _MP4_BOXES:  # trailing bytes that are no box do no harm
            return 0
        is_fragmented |= kind == b"moof"
        position += length
    if position <= size or kind in _SPARE_MP4_BOXES:
        return 0
    if kind == b"mdat" and not is_fragmented and _has_all_samples(path, size):
        return 0
    return position - size


def _has_all_samples(path: Path, size: int) -> bool:
    """Whether the index lists every sample of every track, and all of them lie in the file."""
    with open_container(path) as container, input_errors(path):
        if not container.streams:
            return False
        for stream in container.streams:
            entries = stream.index_entries
            if not 0 < stream.frames <= len(entries):
                return False
            if any(entry.pos + entry.size > size for entry in entries):
                return False
    return True


def _missing_from_matroska(file: BinaryIO, size: int) -> int:
    """Follow the elements of the first segment to its end; 0 where it is a live stream."""
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
