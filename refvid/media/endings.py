"""How a file ends whose format never says how long it is.

Animations, recordings and streams are read up to wherever they end. Whether that is their end is
told by the last of their pieces: it is whole, and some formats have a mark to put behind it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final, Literal

from refvid.media.file_kind import skip_gif_palette
from refvid.media.matroska_elements import ends_within_an_element
from refvid.media.mxf_partitions import find_footer

Ending = Literal["torn", "unmarked"]
"""Within one of its pieces; or behind one, where its format's mark of the end should follow."""

_PNG_SIGNATURE: Final = 8
_OGG_PAGE: Final = b"OggS\0"
_OGG_ENDS: Final = 4
_LONGEST_OGG_PAGE: Final = 27 + 255 + 255 * 255
_NUT_INDEX: Final = bytes.fromhex("4e58dd672f23e64e")
_SYNC: Final = 0x47
_TRANSPORT_PACKET: Final = 188
_TRANSPORT_STEPS: Final = MappingProxyType({188: 188, 192: 188, 204: 204})
"""From packet to packet, and what belongs to a packet from its sync byte on [bytes]."""

_TRANSPORT_PACKETS: Final = 32
_FEWEST_PACKETS: Final = 4
"""By which their grid is found."""

_LONGEST_PACK: Final = 2**18
_PACK: Final = b"\0\0\1\xba"
_PROGRAM_END: Final = b"\0\0\1\xb9"
_START_CODE: Final = b"\0\0\1"
_IS_MPEG_2: Final = 0x40
_STUFFING: Final = 7

_MXF_NAME: Final = 16
_LONG_LENGTH: Final = 0x80

_DV_PAL: Final = 0x80
_DV_FRAMES: Final = MappingProxyType({False: 120_000, True: 144_000})


def find_ending(path: Path, container: str) -> Ending | None:
    """Tell what is wrong with a file's end.

    Args:
        path: The file.
        container: libav's name of its format.

    Returns:
        None where nothing is, where nobody can tell, or where the file is there no more: whoever
        reads it says that it has changed.
    """
    look = _LOOKS.get(container)
    if look is None:
        return None
    try:
        with path.open("rb") as file:
            return look(file, os.fstat(file.fileno()).st_size)
    except (OSError, ValueError, IndexError, struct.error):
        return None


def _end_of_gif(file: BinaryIO, size: int) -> Ending | None:
    skip_gif_palette(file, file.read(13)[10])
    while block := file.read(1):
        if block == b",":
            place = file.read(9)
            if len(place) < 9:
                return "torn"
            skip_gif_palette(file, place[8])
            file.seek(1, 1)  # bits per code
        elif block == b"!":
            file.seek(1, 1)  # what it is
        else:
            return None  # its trailer, or nothing that anybody knows
        while (length := file.read(1)) != b"\0":
            if not length:
                return "torn"
            file.seek(length[0], 1)
    return "unmarked" if file.tell() == size else "torn"


def _end_of_png(file: BinaryIO, size: int) -> Ending | None:
    position = _PNG_SIGNATURE
    while position + 8 <= size:
        file.seek(position)
        length, name = struct.unpack(">I4s", file.read(8))
        if name == b"IEND":
            return None
        position += length + 12
    return "unmarked" if position == size else "torn"


def _end_of_ogg(file: BinaryIO, size: int) -> Ending | None:
    file.seek(max(0, size - 2 * _LONGEST_OGG_PAGE))
    end = file.read()
    start = end.find(_OGG_PAGE)
    while start >= 0:
        position, is_marked = start, False
        while end.startswith(_OGG_PAGE, position) and position + 27 <= len(end):
            lengths = end[position + 27 : position + 27 + end[position + 26]]
            if len(lengths) < end[position + 26]:
                return "torn"
            is_marked = bool(end[position + 5] & _OGG_ENDS)
            position += 27 + len(lengths) + sum(lengths)
        if position == len(end):
            return None if is_marked else "unmarked"
        if position > len(end) or len(end) - position < 27:
            return "torn"
        start = end.find(_OGG_PAGE, start + 1)  # that was none
    return None


def _end_of_flv(file: BinaryIO, size: int) -> Ending | None:
    (position,) = struct.unpack(">5xI", file.read(9))
    position += 4
    if _ends_with_flv_tag(file, size):
        return None
    while position + 11 <= size:
        file.seek(position + 1)
        position += 11 + int.from_bytes(file.read(3), "big")
        if position > size:
            return "torn"
        position += 4  # the length once more, which may be missing
    return "torn" if position < size else None


def _ends_with_flv_tag(file: BinaryIO, size: int) -> bool:
    """Whether the length at a file's end leads to its last tag: all need not be gone through."""
    file.seek(size - 4)
    length = int.from_bytes(file.read(4), "big")
    if not 11 <= length < size - 4:
        return False
    file.seek(size - 4 - length + 1)
    return int.from_bytes(file.read(3), "big") == length - 11


def _end_of_nut(file: BinaryIO, size: int) -> Ending | None:
    file.seek(size - 12)
    (length,) = struct.unpack(">Q", file.read(8))
    if not len(_NUT_INDEX) < length < size:
        return "unmarked"
    file.seek(size - length)
    return None if file.read(len(_NUT_INDEX)) == _NUT_INDEX else "unmarked"


def _end_of_transport_stream(file: BinaryIO, size: int) -> Ending | None:
    for step, length in _TRANSPORT_STEPS.items():
        seen = min(size, step * _TRANSPORT_PACKETS)
        file.seek(size - seen)
        end = file.read(seen)
        for phase in range(step):
            packets = end[phase::step]
            if len(packets) >= _FEWEST_PACKETS and not packets.strip(bytes([_SYNC])):
                last = phase + step * (len(packets) - 1)
                return "torn" if len(end) - last < length else None
    return None


def _end_of_program_stream(file: BinaryIO, size: int) -> Ending | None:
    file.seek(max(0, size - _LONGEST_PACK))
    end = file.read()
    position = end.rfind(_PACK)
    while 0 <= position <= len(end) - len(_PACK):
        name = end[position : position + len(_PACK)]
        if not name.startswith(_START_CODE) or name == _PROGRAM_END:
            return None
        if name != _PACK:
            length = 6 + int.from_bytes(end[position + 4 : position + 6], "big")
        elif end[position + 4] & _IS_MPEG_2:
            length = 14 + (end[position + 13] & _STUFFING)
        else:
            length = 12
        position += length
    return "torn" if position > len(end) else None


def _end_of_mxf(file: BinaryIO, size: int) -> Ending | None:
    # Where the last partition is told, all before it is there: what lacks it is refused.
    position = find_footer(file)
    position = 0 if position >= size else position
    while position + _MXF_NAME < size:
        file.seek(position + _MXF_NAME)
        (length,) = file.read(1)
        position += _MXF_NAME + 1
        if length & _LONG_LENGTH:
            digits = length & ~_LONG_LENGTH
            length = int.from_bytes(file.read(digits), "big")
            position += digits
        position += length
    return "torn" if position != size else None


def _end_of_dv(file: BinaryIO, size: int) -> Ending | None:
    is_pal = bool(file.read(4)[3] & _DV_PAL)
    return "torn" if size % _DV_FRAMES[is_pal] else None


def _end_of_matroska(file: BinaryIO, size: int) -> Ending | None:
    return "torn" if ends_within_an_element(file, size) else None


_LOOKS: Final = MappingProxyType[str, Callable[[BinaryIO, int], Ending | None]](
    {
        "gif": _end_of_gif,
        "matroska,webm": _end_of_matroska,
        "apng": _end_of_png,
        "ogg": _end_of_ogg,
        "flv": _end_of_flv,
        "nut": _end_of_nut,
        "mpegts": _end_of_transport_stream,
        "mpeg": _end_of_program_stream,
        "mxf": _end_of_mxf,
        "dv": _end_of_dv,
    }
)
