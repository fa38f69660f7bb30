"""Damage: what disks, networks, people and attackers do to files."""

from __future__ import annotations

import json
import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence

from tests.tiny_files import repacked

Way = Callable[[bytes, random.Random], bytes]

_NUMBERS = (
    0, 1, 2, 255, 256, 2**15 - 1, 2**15, 2**16 - 1, 2**16, 13300, 2**20, 2**24, 2**31 - 1, 2**31,
    2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1,
)  # fmt: skip
_SIDES = (1, 3, 4000, 13300, 30000, 65535)
_WORDS = (
    "9" * 5000, "0x" + "f" * 5000, "nan", "-inf", "1e999", "-1", "1e-400", "2001-99-99", "true",
    "null", "''", '"', "[" * 20_000, "{" * 20_000, "{a=" * 5000, "]", "}", "\\", "\0", "\x1b[2J",
    "\ud800", "!!int x", "*a", "&a [*a]", "a" + ".a" * 5000 + " = 1", "[[a]]", "\n" * 3,
    "1" + ":1" * 500,
)  # fmt: skip
_START = 400
"""Bytes at a file's start in which most of its structure is described."""


def damage(whole: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    """One file, damaged in one of several ways; the others may lend it a piece."""
    ways: list[Way] = [
        _flip_bits,
        _flip_bits,
        _put_numbers,
        _put_numbers,
        lambda data, draw: data[: int(draw.random() * len(data))],
        _cut_or_repeat,
        lambda data, draw: _splice(data, draw.choice(others), draw),
    ]
    claim = _claim(whole)
    if claim is not None:
        ways += [claim] * 4
    try:
        return draw.choice(ways)(whole, draw)
    except Exception:  # noqa: BLE001 -- too damaged already for its kind of claim
        return _flip_bits(whole, draw)


def damage_text(whole: str, draw: random.Random) -> bytes:
    """A document in which words are replaced by what nobody expects."""
    text = whole
    for _ in range(draw.randint(1, 3)):
        pieces = re.split(r"(\w[\w.+-]*|\S)", text)
        pieces[draw.randrange(len(pieces))] = draw.choice(_WORDS)
        text = "".join(pieces)
    data = text.encode("utf-8", "surrogatepass")
    return _flip_bits(data, draw) if draw.random() < 0.2 else data


def _place(size: int, draw: random.Random) -> int:
    within = min(size, _START) if draw.random() < 0.6 else size
    return draw.randrange(max(1, within))


def _flip_bits(whole: bytes, draw: random.Random) -> bytes:
    data = bytearray(whole or b"\0")
    for _ in range(draw.randint(1, 12)):
        data[_place(len(data), draw)] ^= 1 << draw.randrange(8)
    return bytes(data)


def _put_numbers(whole: bytes, draw: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(draw.randint(1, 3)):
        size = draw.choice((1, 2, 4, 8))
        number = draw.choice(_NUMBERS) % (1 << 8 * size)
        place = _place(len(data), draw)
        data[place : place + size] = number.to_bytes(size, draw.choice(("big", "little")))
    return bytes(data)


def _cut_or_repeat(whole: bytes, draw: random.Random) -> bytes:
    start = _place(len(whole), draw)
    end = start + draw.choice((1, 4, 16, 100, 1000))
    piece = whole[start:end] * draw.choice((0, 0, 2, 3, 50))
    return whole[:start] + piece + whole[end:]


def _splice(whole: bytes, other: bytes, draw: random.Random) -> bytes:
    return whole[: _place(len(whole), draw)] + other[_place(len(other), draw) :]


def _claim(whole: bytes) -> Way | None:
    """How to change what a file claims of itself, with its checksums right."""
    if whole.startswith(b"\x89PNG"):
        return _claim_png
    if whole.startswith(b"\xff\xd8"):
        return _claim_jpeg
    if whole.startswith(b"GIF8"):
        return lambda data, draw: data[:6] + struct.pack("<HH", *_sides(draw)) + data[10:]
    if whole.startswith((b"II*\0", b"MM\0*")):
        return _claim_tiff
    if whole[8:12] == b"WEBP":
        return _claim_webp
    if b"ispe" in whole:
        return lambda data, draw: _after(data, b"ispe", 4, struct.pack(">II", *_sides(draw)))
    if b"ihdr" in whole:
        return lambda data, draw: _after(data, b"ihdr", 0, struct.pack(">II", *_sides(draw)))
    if whole.startswith(b"PK\x03\x04"):
        return _claim_zip
    if whole[8:9] == b"{":
        return _claim_safetensors
    if whole.startswith(b"\x93NUMPY"):
        return _claim_numpy
    return None


def _sides(draw: random.Random) -> tuple[int, int]:
    return draw.choice(_SIDES), draw.choice(_SIDES)


def _after(data: bytes, mark: bytes, skipped: int, put: bytes) -> bytes:
    start = data.index(mark) + len(mark) + skipped
    return data[:start] + put + data[start + len(put) :]


def _claim_png(data: bytes, draw: random.Random) -> bytes:
    header = bytearray(data[12:29])  # name and contents
    header[4:12] = struct.pack(">II", *_sides(draw))
    if draw.random() < 0.5:
        header[12:14] = bytes((draw.choice((1, 2, 4, 8, 16, 33)), draw.choice((0, 2, 3, 4, 6, 9))))
    if draw.random() < 0.2:
        header[16] = 1  # interlaced
    return data[:12] + bytes(header) + struct.pack(">I", zlib.crc32(header)) + data[33:]


def _claim_jpeg(data: bytes, draw: random.Random) -> bytes:
    place = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
    return data[:place] + struct.pack(">HH", *_sides(draw)) + data[place + 4 :]


def _claim_tiff(data: bytes, draw: random.Random) -> bytes:
    order = "<" if data.startswith(b"II") else ">"
    (table,) = struct.unpack(f"{order}I", data[4:8])
    (count,) = struct.unpack(f"{order}H", data[table : table + 2])
    entry = table + 2 + 12 * draw.randrange(count)
    number = draw.choice((*_SIDES, *_NUMBERS)) % 2**32
    return data[: entry + 8] + struct.pack(f"{order}I", number) + data[entry + 12 :]


def _claim_webp(data: bytes, draw: random.Random) -> bytes:
    width, height = (side - 1 for side in _sides(draw))
    if b"VP8X" in data:
        size = (width % 2**24).to_bytes(3, "little") + (height % 2**24).to_bytes(3, "little")
        return _after(data, b"VP8X", 8, size)
    if b"VP8L" in data:
        bits = (width % 2**14) | (height % 2**14) << 14
        return _after(data, b"VP8L", 5, struct.pack("<I", bits))
    return _after(data, b"VP8 ", 10, struct.pack("<HH", width % 2**14, height % 2**14))


def _claim_zip(data: bytes, draw: random.Random) -> bytes:
    def change(name: str, content: bytes) -> bytes:
        if name.endswith((".pkl", ".npy")) and draw.random() < 0.9:
            return _claim_numpy(content, draw) if name.endswith("y") else _flip_bits(content, draw)
        return content

    return repacked(data, change)


def _claim_safetensors(data: bytes, draw: random.Random) -> bytes:
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    metadata = header.get("__metadata__")
    if metadata and draw.random() < 0.7:
        name = draw.choice(list(metadata))
        metadata[name] = damage_text(metadata[name], draw).decode("utf-8", "replace")
    else:
        entry = header[draw.choice([name for name in header if name != "__metadata__"])]
        place = draw.choice(("shape", "data_offsets"))
        entry[place][draw.randrange(len(entry[place]))] = draw.choice(_NUMBERS)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def _claim_numpy(data: bytes, draw: random.Random) -> bytes:
    shape = ", ".join(str(draw.choice(_NUMBERS)) for _ in range(draw.randint(1, 6)))
    changed = re.sub(rb"'shape': \([^)]*\)", f"'shape': ({shape})".encode(), data[10:200], count=1)
    header = changed.partition(b"\n")[0].rstrip()[:200].ljust(117) + b"\n"
    return data[:8] + struct.pack("<H", len(header)) + header + data[128:]
