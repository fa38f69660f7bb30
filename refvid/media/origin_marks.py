"""What files say of how they were made, and what results say: comment, type, credentials."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from refvid.media.credentials import INSTALL, can_sign, read_credentials
from refvid.media.file_kind import is_picture
from refvid.media.folders import is_file
from refvid.media.image_facts import read_image_comment, read_image_xmp
from refvid.media.mp4_boxes import C2PA, XMP, append_uuid_box, read_box, uuid_boxes
from refvid.media.source_type import SourceType, find_in_xmp, term_of, xmp_packet

TYPE_TAG: Final = "DIGITAL_SOURCE_TYPE"
"""The Matroska tag with the term's URI: there is no place for an XMP packet."""

_XMP_CONTAINERS: Final = ("mp4", "mov")
_TAG_CONTAINERS: Final = ("matroska", "webm")

# A JUMBF box of the kind C2PA, which other files than mp4 hold near one of their ends.
_JUMBF: Final = (b"jumb", b"jumd", b"c2pa")
_SEARCHED_BYTES: Final = 2**18


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginMarks:
    """What a file says of how it was made."""

    source_type: str | None = None
    """Term of the IPTC's vocabulary, see `SourceType`."""

    has_credentials: bool = False
    """Whether it holds signed content credentials (C2PA); not whether they are valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """How a result was made, to be written into it."""

    comment: str
    source_type: SourceType
    how: str = ""
    """The comment's part about how, see `Provenance`."""

    source: Path | None = None
    """The video that was changed; None: it was made from something that is no media."""

    def tags(self, container: str) -> dict[str, str]:
        """Tags for a container (libavformat's name)."""
        tags = {"comment": self.comment}
        return tags | {TYPE_TAG: self.source_type.uri} if container in _TAG_CONTAINERS else tags

    def finish(self, path: Path, container: str) -> None:
        """Add what libav does not write to a finished file."""
        if container in _XMP_CONTAINERS:
            append_uuid_box(path, XMP, xmp_packet(self.source_type))


def read_origin_marks(path: Path, tags: Mapping[str, str]) -> OriginMarks:
    """Read what a video or picture says of how it was made; what is not one file says nothing.

    Args:
        path: The file, or a pattern of images.
        tags: Those that libav finds in it.

    Raises:
        InputError: It cannot be read any more.
    """
    if not is_file(path):
        return OriginMarks()
    if is_picture(path):
        return OriginMarks(
            source_type=find_in_xmp(read_image_xmp(path)), has_credentials=_holds_jumbf(path)
        )
    boxes = uuid_boxes(path)
    source_type = find_in_xmp(read_box(path, boxes[XMP])) if XMP in boxes else None
    for name, value in tags.items():
        if source_type is None and name.upper() == TYPE_TAG:
            source_type = term_of(value)
    return OriginMarks(
        source_type=source_type, has_credentials=C2PA in boxes or (not boxes and _holds_jumbf(path))
    )


def describe_origin(path: Path, tags: Mapping[str, str]) -> dict[str, Any]:
    """What a file says of how it was made, in plain JSON types, see `read_origin_marks`."""
    marks = read_origin_marks(path, tags)
    facts: dict[str, Any] = {"source_type": marks.source_type, "credentials": None}
    if is_picture(path):
        facts["comment"] = read_image_comment(path)
    if marks.has_credentials:
        unread = {"state": f"signed; to read it: {INSTALL}" if not can_sign() else "unreadable"}
        facts["credentials"] = read_credentials(path) or unread
    return facts


def _holds_jumbf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return any(all(mark in end for mark in _JUMBF) for end in _ends(file))
    except OSError:
        return False


def _ends(file: IO[bytes]) -> tuple[bytes, bytes]:
    beginning = file.read(_SEARCHED_BYTES)
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _SEARCHED_BYTES))
    return beginning, file.read(_SEARCHED_BYTES)
