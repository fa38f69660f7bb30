"""One picture, moving pictures or a video: told by what a file holds, not by its name.

PNG, WebP, AVIF and GIF files may hold one picture or many under the same suffix, and a picture may
have been given a video's name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from refvid.media.container import PICTURE_BRANDS, is_moving
from refvid.media.folders import is_file
from refvid.media.image import IMAGE_SUFFIXES

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_MOST_PIECES: Final = 100_000
"""Chunks looked at: more are no animation."""

# First bytes of pictures that never move.
_STILL: Final = {
    b"\xff\xd8\xff": "jpeg",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"BM": "bmp",
    b"\0\0\0\x0cjP  ": "jp2",
    b"\xffO\xffQ": "jp2",
    b"P3": "ppm",
    b"P5": "ppm",
    b"P6": "ppm",
}
_TO_SAMPLES: Final = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz")
_SUBFILE: Final = 254
_COPY_OR_MASK: Final = 1 | 4


class _Contents(NamedTuple):
    format: str
    pictures: int
    """2 stands for more, too."""

    has_pages: bool = False
    """Whether it holds further pictures that are no animation."""


def is_picture(path: Path) -> bool:
    """Whether a file is a single picture.

    Where its first bytes say nothing, its suffix decides, unless libav finds a video in it.
    """
    has_suffix = path.suffix.lower() in IMAGE_SUFFIXES
    contents = _look(path)
    if contents is None:
        return has_suffix and is_file(path) and not is_moving(path)
    if contents.pictures > 1:
        return False
    # Cameras' raw streams are pictures in a row: libav knows, where the name leaves it open.
    return has_suffix or not is_moving(path)


def is_animation(path: Path) -> bool:
    """Whether a file of a picture format holds moving pictures."""
    contents = _look(path)
    return contents is not None and contents.pictures > 1


def is_webp_animation(path: Path) -> bool:
    """Whether it is one that libav does not decode."""
    contents = _look(path)
    return contents is not None and contents.format == "webp" and contents.pictures > 1


def picture_suffix(path: Path) -> str:
    """Return the suffix of a picture, or where it has none, of a format like its own."""
    contents = _look(path)
    if path.suffix.lower() in IMAGE_SUFFIXES or contents is None:
        return path.suffix
    told = {"jpeg": ".jpg", "tiff": ".tif"}.get(contents.format, f".{contents.format}")
    return told if told in IMAGE_SUFFIXES else ".png"


def _look(path: Path) -> _Contents | None:
    """Look into a file; None where it is none, or of no format that holds pictures."""
    if not is_file(path):
        return None  # a pipe would be waited for
    try:
        with path.open("rb") as file:
            head = file.read(16)
            file.seek(0)
            if head.startswith(_PNG):
                return _Contents("png", _count_png(file))
            if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
                return _Contents("webp", len(list(webp_durations(file, most=2))) or 1)
            if head.startswith((b"GIF87a", b"GIF89a")):
                return _Contents("gif", _count_gif(file))
            if head[4:8] == b"ftyp":
                return _look_into_boxes(file)
            if head[:4] in (b"II*\0", b"MM\0*"):
                return _Contents("tiff", 1, _has_pages(file))
    except (OSError, ValueError, IndexError, struct.error):
        return None
    kind = next((kind for start, kind in _STILL.items() if head.startswith(start)), None)
    return None if kind is None else _Contents(kind, 1)


def _count_png(file: BinaryIO) -> int:
    """1, or 2 where the animation chunk comes before the picture."""
    file.seek(len(_PNG))
    for _ in range(_MOST_PIECES):
        length, name = struct.unpack(">I4s", file.read(8))
        if name == b"acTL":
            (frames,) = struct.unpack(">I", file.read(4))
            return 2 if frames > 1 else 1
        if name in (b"IDAT", b"IEND"):
            break
        file.seek(length + 4, 1)
    return 1


def webp_durations(file: BinaryIO, most: int = _MOST_PIECES) -> Iterator[int]:
    """Give how long each picture of an animated WebP is shown [ms]; nothing where it is still."""
    file.seek(12)
    found = 0
    while found < most and len(header := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", header)
        after = file.tell() + length + length % 2
        if name == b"ANMF":
            found += 1
            yield int.from_bytes(file.read(16)[12:15], "little")
        elif name in (b"VP8 ", b"VP8L"):
            return
        file.seek(after)


def _count_gif(file: BinaryIO) -> int:
    """Count pictures up to 2, by the blocks between them."""
    flags = file.read(13)[10]
    skip_gif_palette(file, flags)
    pictures = 0
    for _ in range(_MOST_PIECES):
        block = file.read(1)
        if block == b",":
            pictures += 1
            if pictures == 2:
                break
            skip_gif_palette(file, file.read(9)[8])
            file.seek(1, 1)  # bits per code
        elif block == b"!":
            file.seek(1, 1)  # what it is
        else:
            break
        while length := file.read(1)[0]:
            file.seek(length, 1)
    return max(1, pictures)


def skip_gif_palette(file: BinaryIO, flags: int) -> None:
    """Go on behind the palette that a GIF's header or the head of a picture announces, if any."""
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), 1)


def _look_into_boxes(file: BinaryIO) -> _Contents | None:
    """AVIF and HEIC: a picture, or a sequence of them with the sample tables of a video."""
    (length,) = struct.unpack(">I4x", file.read(8))
    brands = file.read(max(0, min(length - 8, 4096)))
    if brands[:4].decode("latin-1") not in PICTURE_BRANDS:
        return None
    file.seek(0)
    pictures = max(_sample_counts(file, _TO_SAMPLES, 2**63), default=1)
    return _Contents("avif" if b"avi" in brands else "heic", min(2, max(1, pictures)))


def _sample_counts(file: BinaryIO, names: tuple[bytes, ...], end: int) -> Iterator[int]:
    """Give the number of samples of every track in the boxes from here on."""
    for _ in range(_MOST_PIECES):
        start = file.tell()
        header = file.read(8)
        if start + 8 > end or len(header) < 8:
            return
        length, name = struct.unpack(">I4s", header)
        if name == names[0] == b"stsz":
            yield int(struct.unpack(">8xI", file.read(12))[0])
        elif name == names[0]:
            yield from _sample_counts(file, names[1:], start + length)
        if length < 8:
            return
        file.seek(start + length)


def _has_pages(file: BinaryIO) -> bool:
    """Whether a TIFF has a second page that is no smaller copy of the first, and no mask."""
    order = "<" if file.read(2) == b"II" else ">"
    version, place = struct.unpack(f"{order}HI", file.read(6))
    if version != 42:
        return False
    for _ in range(2):
        if place == 0:
            return False
        file.seek(place)
        (count,) = struct.unpack(f"{order}H", file.read(2))
        entries = file.read(12 * count)
        (place,) = struct.unpack(f"{order}I", file.read(4))
    is_copy_or_mask = any(
        number == _SUBFILE and value & _COPY_OR_MASK
        for number, value in struct.iter_unpack(f"{order}H6xI", entries)
    )
    return not is_copy_or_mask


def notes_on_picture(path: Path) -> tuple[str, ...]:
    """Say where an input is a picture and does not look it: of several, or under a video's name."""
    contents = _look(path)
    notes = notes_on_pages(path)
    if contents is not None and path.suffix.lower() not in IMAGE_SUFFIXES:
        notes += (f"{path.name} is a single picture ({contents.format}), not a video",)
    return notes


def notes_on_pages(path: Path) -> tuple[str, ...]:
    """Say where only one of several pictures is used."""
    contents = _look(path)
    if contents is None or not (contents.pictures > 1 or contents.has_pages):
        return ()
    return (f"{path.name} holds several pictures: only the first one is used",)
