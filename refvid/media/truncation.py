"""Is a media file shorter than what it holds?

libav reads a truncated file to its last whole packet and then reports a normal end, so a
half-finished download would silently become a short video. But the sizes in a file's headers may be
wrong where nothing is missing: recorders leave them open, count their own header, or lose an index
that no frame depends on. So a size is where the search begins, and what lies in the file decides.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final

from refvid.media.asf_objects import START as ASF_START
from refvid.media.asf_objects import missing_from_asf
from refvid.media.avi_chunks import missing_from_avi
from refvid.media.container import input_errors, open_container
from refvid.media.matroska_elements import START as MATROSKA_START
from refvid.media.matroska_elements import missing_from_matroska
from refvid.media.mxf_partitions import START as MXF_START
from refvid.media.mxf_partitions import missing_from_mxf
from refvid.media.y4m import START as Y4M_START
from refvid.media.y4m import missing_from_y4m

_MP4_BOXES: Final = frozenset(
    b"ftyp moov mdat free skip wide uuid moof mfra sidx ssix styp meta pdin emsg prft".split()
)
# Padding, and indexes for seeking: without them every frame is still there.
_SPARE_MP4_BOXES: Final = frozenset(b"free skip wide mfra sidx ssix pdin emsg prft".split())


def missing_bytes(path: Path) -> int:
    """Return how many bytes the file lacks, 0 if it is whole or its format cannot tell."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(0)
        if head.startswith(MATROSKA_START):
            return missing_from_matroska(file, size)
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
