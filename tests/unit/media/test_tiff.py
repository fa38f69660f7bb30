"""TIFF pictures as other programs lay them out, written byte by byte."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refvid.errors import InputError
from refvid.media.image import read_image

SHORT, LONG = 3, 4


@dataclass(frozen=True)
class Layout:
    """How a picture lies in the file."""

    order: str = "<"
    tile: tuple[int, int] | None = None
    """Height and width."""

    rows_per_strip: int = 10**6
    is_planar: bool = False
    photometric: int = 2
    bits: int = 16
    sample_format: int = 1
    extra: int | None = None
    orientation: int = 1
    is_big: bool = False


def write_tiff(path: Path, pixels: np.ndarray, layout: Layout) -> Path:
    """Write (H, W, channels) without compression."""
    height, width, channels = pixels.shape
    pixels = pixels.astype(f"{layout.order}{pixels.dtype.str[1:]}")
    planes = [pixels[:, :, i : i + 1] for i in range(channels)] if layout.is_planar else [pixels]
    blocks = [block for plane in planes for block in cut(plane, layout)]
    tags: dict[int, tuple[int, list[int]]] = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [layout.bits] * channels),
        259: (SHORT, [1]),
        262: (SHORT, [layout.photometric]),
        274: (SHORT, [layout.orientation]),
        277: (SHORT, [channels]),
        284: (SHORT, [2 if layout.is_planar else 1]),
        339: (SHORT, [layout.sample_format] * channels),
    }
    if layout.extra is not None:
        tags[338] = (SHORT, [layout.extra])
    if layout.tile:
        tags |= {322: (LONG, [layout.tile[1]]), 323: (LONG, [layout.tile[0]])}
    else:
        tags[278] = (LONG, [min(layout.rows_per_strip, height)])
    start = 16 if layout.is_big else 8
    offsets = [start + sum(len(block) for block in blocks[:i]) for i in range(len(blocks))]
    places, sizes = (324, 325) if layout.tile else (273, 279)
    tags[places] = (LONG, offsets)
    tags[sizes] = (LONG, [len(block) for block in blocks])
    data = b"".join(blocks)
    path.write_bytes(
        header(layout, start + len(data)) + data + directory(layout, tags, start, data)
    )
    return path


def cut(plane: np.ndarray, layout: Layout) -> list[bytes]:
    height, width, channels = plane.shape
    if not layout.tile:
        step = layout.rows_per_strip
        return [plane[top : top + step].tobytes() for top in range(0, height, step)]
    tall, wide = layout.tile
    blocks = []
    for top in range(0, height, tall):
        for left in range(0, width, wide):
            block = np.zeros((tall, wide, channels), plane.dtype)
            part = plane[top : top + tall, left : left + wide]
            block[: part.shape[0], : part.shape[1]] = part
            blocks.append(block.tobytes())
    return blocks


def header(layout: Layout, place: int) -> bytes:
    mark = b"II" if layout.order == "<" else b"MM"
    if layout.is_big:
        return mark + struct.pack(layout.order + "HHHQ", 43, 8, 0, place)
    return mark + struct.pack(layout.order + "HI", 42, place)


def directory(
    layout: Layout, tags: dict[int, tuple[int, list[int]]], start: int, data: bytes
) -> bytes:
    count, size, room = ("Q", 20, 8) if layout.is_big else ("H", 12, 4)
    after = start + len(data) + struct.calcsize(count) + size * len(tags) + room
    entries, extra = b"", b""
    for number, (kind, values) in sorted(tags.items()):
        raw = struct.pack(layout.order + f"{len(values)}{'HI'[kind == LONG]}", *values)
        if len(raw) > room:
            raw, extra = (
                struct.pack(layout.order + ("Q" if layout.is_big else "I"), after + len(extra)),
                extra + raw,
            )
        entries += struct.pack(
            layout.order + ("HHQ" if layout.is_big else "HHI"), number, kind, len(values)
        )
        entries += raw.ljust(room, b"\0")
    return struct.pack(layout.order + count, len(tags)) + entries + bytes(room) + extra


def colors(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, (height, width, channels), np.uint16)


LAYOUTS = {
    "strips": Layout(rows_per_strip=7),
    "tiles": Layout(tile=(32, 32)),
    "planes": Layout(is_planar=True),
    "planes in strips": Layout(is_planar=True, rows_per_strip=16),
    "big-endian tiles": Layout(tile=(16, 32), order=">"),
    "big-endian planes": Layout(is_planar=True, order=">"),
    "BigTIFF": Layout(is_big=True),
    "BigTIFF in tiles": Layout(is_big=True, tile=(32, 16)),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
def test_sixteen_bit_colours(tmp_path, layout, size):
    pixels = colors(*size)
    assert np.array_equal(read_image(write_tiff(tmp_path / "a.tif", pixels, layout)), pixels)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    order=st.sampled_from("<>"),
    tile=st.none() | st.tuples(st.sampled_from([16, 32, 64]), st.sampled_from([16, 32, 48])),
    rows_per_strip=st.integers(1, 70),
    is_planar=st.booleans(),
    is_big=st.booleans(),
)
def test_every_layout_is_read_right_or_refused(tmp_path, height, width, **layout):
    pixels = colors(height, width)
    path = write_tiff(tmp_path / "a.tif", pixels, Layout(**layout))
    try:
        read = read_image(path)
    except InputError:
        is_rare = layout["is_planar"] and (layout["tile"] or layout["is_big"])
        assert is_rare or (layout["is_big"] and layout["order"] == ">")
    else:
        assert np.array_equal(read, pixels)


@pytest.mark.parametrize("layout", [Layout(), Layout(tile=(16, 16))], ids=["strips", "tiles"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture(tmp_path, layout, orientation):
    pixels = colors(20, 30)
    turned = Layout(tile=layout.tile, orientation=orientation)
    flipped = pixels[:, ::-1] if orientation in (2, 4, 5, 7) else pixels
    turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    read = read_image(write_tiff(tmp_path / "a.tif", pixels, turned))
    assert np.array_equal(read, np.rot90(flipped, turns))


@pytest.mark.parametrize(
    ("extra", "expected"), [(0, 40000), (1, 40000 + 128 * 257 / 2), (2, 20000 + 128 * 257 / 2)]
)
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_the_fourth_channel_is_what_the_file_says(tmp_path, extra, expected, tile):
    pixels = np.full((20, 20, 4), 40000, np.uint16)
    pixels[:, :, 3] = 32768
    path = write_tiff(tmp_path / "a.tif", pixels, Layout(tile=tile, extra=extra))
    assert np.abs(read_image(path).astype(int) - expected).max() <= 1
    on_black = expected - (128 * 257 / 2 if extra else 0)
    assert np.abs(read_image(path, background=0).astype(int) - on_black).max() <= 1


def test_gray_where_zero_is_white(tmp_path):
    pixels = colors(20, 30, 1)
    for tile in (None, (16, 16)):
        layout = Layout(photometric=0, tile=tile)
        read = read_image(write_tiff(tmp_path / "a.tif", pixels, layout))
        assert np.array_equal(read, np.repeat(65535 - pixels, 3, axis=2))


@pytest.mark.parametrize(
    ("dtype", "sample_format"),
    [(np.float32, 3), (np.float16, 3), (np.float64, 3), (np.int16, 2), (np.uint32, 1)],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_numbers_of_unknown_range_are_refused(tmp_path, dtype, sample_format, channels):
    layout = Layout(
        bits=8 * np.dtype(dtype).itemsize,
        sample_format=sample_format,
        photometric=1 if channels == 1 else 2,
    )
    path = write_tiff(tmp_path / "a.tif", np.ones((8, 8, channels), dtype), layout)
    with pytest.raises(InputError, match="8 or 16 bits per channel"):
        read_image(path)


def test_a_damaged_one_is_said_to_be(tmp_path):
    path = write_tiff(tmp_path / "a.tif", colors(64, 64), Layout(tile=(32, 32)))
    data = path.read_bytes()
    path.write_bytes(data[:8] + data[20000:])
    with pytest.raises(InputError):
        read_image(path)
