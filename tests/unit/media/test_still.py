"""Pictures of HDR and wide gamuts are read in their own colours, and brought to others."""

from __future__ import annotations

import struct
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refvid.errors import InputError
from refvid.media.color import HLG, PQ, ColorInfo
from refvid.media.domain import Domain, bring_to_srgb, wrap_sdr
from refvid.media.image import read_image, read_still
from refvid.media.light import hlg_of_light, pq_of_light, shown_by_hlg
from refvid.media.pixel_conversion import to_uint16
from refvid.media.srgb import read_srgb
from tests.hdr_pictures import write_avif, write_png

BT2020, P3, SRGB_TRANSFER = 9, 12, 13
BOTH = pytest.mark.parametrize("transfer", [PQ, HLG])


def colorful() -> np.ndarray:
    """(48, 64, 3) uint8: smooth, with colours of all strengths."""
    y, x = np.mgrid[:48, :64]
    planes = (x * 4, y * 5, 255 - x * 2 - y)
    return np.stack(planes, -1).clip(0, 255).astype(np.uint8)


@BOTH
def test_png_in_its_colours(tmp_path: Path, transfer: int) -> None:
    codes = wrap_sdr(colorful(), transfer, BT2020)
    still = read_still(write_png(tmp_path / "a.png", codes, transfer, BT2020))
    assert still.color is not None
    assert (still.color.transfer, still.color.primaries) == (transfer, BT2020)
    assert np.array_equal(still.pixels, codes)
    back = read_srgb(tmp_path / "a.png")
    assert back / 65535 == pytest.approx(colorful() / 255, abs=4 / 255)  # black is steep
    # As the frame of a sequence it is what it holds.
    assert np.array_equal(read_image(tmp_path / "a.png"), codes)


@BOTH
def test_avif_in_its_colours(tmp_path: Path, transfer: int) -> None:
    codes = wrap_sdr(colorful(), transfer, BT2020)
    still = read_still(write_avif(tmp_path / "a.avif", codes, transfer, BT2020))
    assert still.color is not None
    assert (still.color.transfer, still.color.primaries) == (transfer, BT2020)
    assert still.pixels.dtype == np.uint16
    assert np.abs(still.pixels.astype(int) - codes).mean() < 0.01 * 65535


def test_wide_gamut_of_eight_bits(tmp_path: Path) -> None:
    """A red of P3 that BT.709 cannot show, and one that it can."""
    pixels = np.array([[[255, 0, 0], [234, 51, 35]]], np.uint8).repeat(8, 0)
    brought = read_srgb(write_png(tmp_path / "a.png", pixels, SRGB_TRANSFER, P3))
    assert brought.shape == pixels.shape
    expected = np.array([[255, 0, 0], [255, 0, 0]]) / 255
    assert brought[0] / np.iinfo(brought.dtype).max == pytest.approx(expected, abs=0.1)


def test_what_says_nothing_is_srgb(tmp_path: Path) -> None:
    Image.fromarray(colorful()).save(tmp_path / "a.png")
    Image.fromarray(colorful()).save(tmp_path / "a.avif", quality=100)
    write_png(tmp_path / "tagged.png", colorful(), SRGB_TRANSFER, 1)
    for name in ("a.png", "a.avif", "tagged.png"):
        still = read_still(tmp_path / name)
        assert still.color is None
        assert np.array_equal(still.pixels, read_image(tmp_path / name))


def test_turned_pictures(tmp_path: Path) -> None:
    codes = wrap_sdr(colorful(), PQ, BT2020)
    path = write_png(tmp_path / "a.png", codes, PQ, BT2020)
    exif = Image.Exif()
    exif[0x0112] = 6
    content = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    whole = path.read_bytes()
    path.write_bytes(whole[:33] + chunk + whole[33:])
    assert np.array_equal(read_still(path).pixels, np.rot90(codes, -1))


def test_damage_is_nothing_else(tmp_path: Path) -> None:
    codes = wrap_sdr(colorful(), PQ, BT2020)
    for path in (
        write_png(tmp_path / "a.png", codes, PQ, BT2020),
        write_avif(tmp_path / "a.avif", codes, PQ, BT2020),
    ):
        whole = path.read_bytes()
        for length in range(0, len(whole), max(1, len(whole) // 40)):
            path.write_bytes(whole[:length])
            with suppress(InputError):
                assert read_still(path).pixels.ndim == 3


def test_heif_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "photo.heic"
    path.write_bytes(struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(100))
    with pytest.raises(InputError, match=r"HEIF \(HEIC\).* pip install pillow-heif"):
        read_still(path)


def test_light_of_hlg_and_back() -> None:
    light = np.random.default_rng(1).uniform(0, 2.5, (50, 3))
    assert shown_by_hlg(hlg_of_light(light)) == pytest.approx(light, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("still", [PQ, HLG])
@pytest.mark.parametrize("video", [PQ, HLG])
def test_hdr_comes_to_hdr(still: int, video: int) -> None:
    """Whatever it is coded as, the model sees the same light alike; its own code as it is."""
    light = np.random.default_rng(2).uniform(0, 3, (70, 9, 3))
    codes = {name: np.rint(_coded(light, name) * 65535).astype(np.uint16) for name in (PQ, HLG)}
    domain = Domain.of(ColorInfo(primaries=BT2020, transfer=video))
    assert domain is not None
    brought = domain.bring(codes[still], ColorInfo(primaries=BT2020, transfer=still))
    seen = domain.take(codes[video])
    if still == video:
        assert np.array_equal(brought, seen)
    assert brought / 65535 == pytest.approx(seen / 65535, abs=2e-3)


def _coded(light: np.ndarray, transfer: int) -> np.ndarray:
    return pq_of_light(light) if transfer == PQ else hlg_of_light(light)


@BOTH
def test_what_is_brighter_than_white_is_white_in_sdr(transfer: int) -> None:
    light = np.full((4, 4, 3), 3.0)
    codes = np.rint(_coded(light, transfer) * 65535).astype(np.uint16)
    color = ColorInfo(primaries=BT2020, transfer=transfer)
    assert (bring_to_srgb(codes, color) == 65535).all()
    assert (to_uint16(bring_to_srgb(codes, color)) == 65535).all()
