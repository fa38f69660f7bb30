"""Images that ask for more memory than they are worth, or are named like patterns."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refvid.errors import InputError
from refvid.media import image as module
from refvid.media.image import encode_image, read_image


def jpeg(width, height, *, progressive=False):
    """A few hundred bytes whose header claims a size."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "jpeg", progressive=progressive)
    data = bytearray(buffer.getvalue())
    start = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def png(width, height, bits=8, color=2):
    def chunk(name, content):
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def webp(width, height):
    buffer = io.BytesIO()
    # With metadata the header has the size of the canvas.
    Image.new("RGBA", (16, 16)).save(buffer, "webp", lossless=True, exif=b"Exif\0\0a")
    data = bytearray(buffer.getvalue())
    start = data.index(b"VP8X") + 12
    data[start : start + 6] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


def gif(width, height):
    buffer = io.BytesIO()
    Image.new("P", (16, 16)).save(buffer, "gif")
    data = bytearray(buffer.getvalue())
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def tiff(width, height, tile=None):
    entries = [(256, width), (257, height), (258, 8), (259, 8), (262, 2), (277, 3), (284, 1)]
    entries += [(322, tile[0]), (323, tile[1]), (324, 200), (325, 20)] if tile else [(273, 200)]
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + bytes(300)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jpg", jpeg(13300, 13300)),
        ("b.jpg", jpeg(11000, 9000)),
        ("c.png", png(13300, 13300)),
        ("d.png", png(7000, 7000, bits=16)),
        ("e.png", png(7000, 7000, bits=16, color=0)),
        ("f.png", png(60000, 60000, bits=1, color=0)),
        ("g.webp", webp(16000, 16000)),
        ("h.tif", tiff(20000, 20000)),
        ("i.tif", tiff(64, 64, tile=(16000, 16000))),
        ("j.ppm", b"P6 40000 40000 255 " + bytes(99)),
        ("k.gif", gif(60000, 60000)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_sizes_are_refused_before_anything_is_decoded(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    for may_shrink in (False, True):
        if name == "b.jpg" and may_shrink:
            continue  # an honest picture from a large camera
        # An older libwebp does not open a file whose canvas and picture differ.
        older = "|could not create decoder object" if name == "g.webp" else ""
        with pytest.raises(InputError, match=rf"is too large.*up to 89 megapixels{older}"):
            read_image(path, may_shrink=may_shrink)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_very_large_jpeg_is_decoded_small_where_its_size_does_not_matter(
    tmp_path, monkeypatch, progressive
):
    monkeypatch.setattr(module, "_MOST_BYTES", 3 * 400 * 300)
    path = tmp_path / "photo.jpg"
    left_red = np.zeros((600, 800, 3), np.uint8)
    left_red[:, :400, 0] = 250
    Image.fromarray(left_red).save(path, quality=95, progressive=progressive)
    with pytest.raises(InputError, match=r"800x600"):
        read_image(path)
    pixels = read_image(path, may_shrink=True)
    assert pixels.shape == (300, 400, 3)
    assert np.abs(pixels[:, :190].astype(int) - [250, 0, 0]).max() < 10
    assert pixels[:, 210:].max() < 10
    monkeypatch.setattr(module, "_MOST_BYTES", 3 * 130 * 90)
    assert read_image(path, may_shrink=True).shape == (75, 100, 3)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "L", "CMYK"])
def test_strips_make_no_difference(tmp_path, monkeypatch, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (37, 53, 4), np.uint8)
    picture = Image.fromarray(pixels)
    picture = picture.convert("RGB").convert(mode) if mode == "CMYK" else picture.convert(mode)
    path = tmp_path / "a.tif"
    picture.save(path)
    whole = read_image(path)
    monkeypatch.setattr(module, "_STRIP_PIXELS", 200)
    assert np.array_equal(read_image(path), whole)


def test_strips_of_16_bits(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 65536, (37, 53, 3), np.uint16)
    for name in ("a.png", "a.tif"):
        path = tmp_path / name
        path.write_bytes(encode_image(pixels, path))
        monkeypatch.setattr(module, "_STRIP_PIXELS", 200)
        assert np.array_equal(read_image(path), pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_a_tiff_is_turned_once(tmp_path, mode):
    # Pillow maps such files from the disk, with sides that it has swapped already.
    picture = Image.fromarray(np.arange(20 * 30, dtype=np.uint16).astype(np.uint8).reshape(20, 30))
    picture = picture.convert("RGB").convert(mode) if mode != "L" else picture
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.tif", exif=exif)
    picture.save(tmp_path / "plain.tif")
    upright = np.rot90(read_image(tmp_path / "plain.tif"), -1)
    assert np.array_equal(read_image(tmp_path / "a.tif"), upright)


@pytest.mark.parametrize("name", ["r_%d.png", "r_%04d.tif", "http:r.png", "concat:r.png"])
def test_a_picture_is_read_itself_whatever_its_name(tmp_path: Path, name):
    own = np.full((4, 6, 3), 40_000, np.uint16)
    other = np.full((4, 6, 3), 500, np.uint16)
    for number in ("0", "1", "0000", "0001"):
        for kind in (".png", ".tif"):
            path = tmp_path / f"r_{number}{kind}"
            path.write_bytes(encode_image(other, path))
    path = tmp_path / name
    path.write_bytes(encode_image(own, path))
    assert np.array_equal(read_image(path), own)
