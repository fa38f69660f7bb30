"""Videos that carry more than pixels, put together by hand where PyAV cannot write it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from refvid.media.side_data import make_picture

SAMPLE_ENTRY = 86
"""Bytes of a video's sample entry in mp4 before the boxes in it."""


def encode(
    path: Path,
    codec: str = "libx264",
    *,
    side_data: Callable[[int], Mapping[str, bytes]] = lambda index: {},
    fields: Any = None,
    pixels: Callable[[int], np.ndarray] | None = None,
    frames: int = 6,
    size: tuple[int, int] = (96, 64),
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    flags: int = 0,
    transfer: int | None = None,
) -> Path:
    """Write a video whose pictures carry side data, or are interlaced."""
    width, height = size
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            codec, rate=25, width=width, height=height, options=options or {}
        )
        stream.pix_fmt = pix_fmt
        context = stream.codec_context
        context.flags |= flags
        if fields is not None:
            context.field_order = {"top": 2, "bottom": 3}[fields]
        if transfer is not None:
            context.color_primaries = context.colorspace = 9
            context.color_trc = transfer
        for index in range(frames):
            shown = np.zeros((height, width, 3), np.uint8) if pixels is None else pixels(index)
            picture = make_picture(shown, "rgb24", size, side_data(index), fields)
            picture = picture.reformat(format=pix_fmt, dst_colorspace=5, threads=1)
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def add_box(path: Path, kind: bytes, payload: bytes, entry: bytes = b"avc1") -> Path:
    """Put a box into the sample entry of the first track of an mp4 or mov that ends with moov."""
    data = bytearray(path.read_bytes())
    parents = []
    start, end = 0, len(data)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", entry):
        while True:
            length, found = struct.unpack(">I4s", data[start : start + 8])
            if found == name:
                break
            start += length
            assert start < end, name
        parents.append((start, length))
        end = start + length
        start += {b"stsd": 16, entry: SAMPLE_ENTRY}.get(name, 8)
    assert sum(parents[0]) == len(data), "what follows moov would move"
    new = struct.pack(">I4s", 8 + len(payload), kind) + payload
    data[end:end] = new
    for position, length in parents:
        data[position : position + 4] = struct.pack(">I", length + len(new))
    path.write_bytes(data)
    return path


def rewrap(source: Path, target: Path, filters: str | None = None) -> Path:
    """Copy a video's packets into another container; a bitstream filter may change them."""
    options = {"strict": "unofficial"}
    with (
        av.open(str(source)) as old,
        av.open(str(target), "w", container_options=options) as new,
    ):
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream, opaque=True)
        change = av.bitstream.BitStreamFilterContext(filters, stream, copy) if filters else None
        for packet in old.demux(stream):
            given = packet if packet.size else None
            for done in change.filter(given) if change else [packet] if given else []:
                done.stream, done.time_base = copy, stream.time_base  # type: ignore[assignment]
                new.mux(done)
    return target


def clap(width: int, height: int, right: int, down: int) -> bytes:
    """A clean aperture: its size, and by how much its centre lies beside that of the picture."""
    return struct.pack(">IIIIiIiI", width, 1, height, 1, right, 1, down, 1)


def dolby_vision(profile: int, compatibility: int) -> bytes:
    """A configuration record: version 1.0, level 1, with metadata and a base layer."""
    return bytes([1, 0, profile << 1, 1 << 3 | 0b101, compatibility << 4]) + bytes(19)


def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


EQUIRECTANGULAR = box(b"svhd", bytes(4) + b"x\0") + box(
    b"proj", box(b"prhd", bytes(16)) + box(b"equi", bytes(20))
)
"""What a `sv3d` box says of a 360 degree video."""
