"""The outermost boxes of mp4 and mov files (ISO/IEC 14496-12), which libav does not show."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from uuid import UUID

from refvid.errors import InputError

XMP: Final = UUID("be7acfcb-97a9-42e8-9c71-999491e3afac")
"""Of the box that holds an XMP packet (XMP specification, part 3)."""

C2PA: Final = UUID("d8fec3d6-1b0e-483c-9297-5828877ec481")
"""Of the box that holds signed content credentials (C2PA specification, section 11)."""

_MOST_BOXES: Final = 10_000
"""More are found in fragmented files only; what is looked for stands at an end of the file."""

_MOST_BYTES: Final = 2**20
"""Of a packet that is read."""


@dataclass(frozen=True, slots=True)
class UuidBox:
    """A box of a private kind."""

    kind: UUID
    begin: int
    """Where its content begins in the file [bytes]."""

    size: int
    """Of its content [bytes]."""


def uuid_boxes(path: Path) -> dict[UUID, UuidBox]:
    """The outermost `uuid` boxes of a file; of a kind, the last. None where it is no mp4 or mov."""
    try:
        with path.open("rb") as file:
            return {box.kind: box for box in _walk(file)}
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read {path}: {error}.") from error


def read_box(path: Path, box: UuidBox) -> bytes:
    """What a box holds; its beginning, where it is large beyond measure."""
    with path.open("rb") as file:
        file.seek(box.begin)
        return file.read(min(box.size, _MOST_BYTES))


def append_uuid_box(path: Path, kind: UUID, content: bytes) -> None:
    """Put a box at the end of an mp4 or mov file, where players pass over it."""
    with path.open("ab") as file:
        file.write((24 + len(content)).to_bytes(4, "big") + b"uuid" + kind.bytes + content)


def _walk(file: IO[bytes]) -> Iterator[UuidBox]:
    end = file.seek(0, os.SEEK_END)
    place = 0
    for _ in range(_MOST_BOXES):
        file.seek(place)
        header = file.read(32)
        size, name = int.from_bytes(header[:4], "big"), header[4:8]
        start = 8
        if size == 1:
            size, start = int.from_bytes(header[8:16], "big"), 16
        elif size == 0:
            size = end - place
        if len(header) < start or size < start or place + size > end or not name.isascii():
            return  # the end, or no such file
        if name == b"uuid" and size >= start + 16:
            kind = UUID(bytes=header[start : start + 16])
            yield UuidBox(kind, place + start + 16, size - start - 16)
        place += size
