"""HEIF, in which phones save photographs; only where pillow-heif is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from refvid.errors import InputError
from refvid.media.image import read_image, read_still
from refvid.rebuild.reference_folder import pictures_in

pillow_heif = pytest.importorskip("pillow_heif", reason="pip install pillow-heif")


def scene() -> np.ndarray:
    """Smooth, and another one after every turn."""
    rows, columns = np.mgrid[:64, :96]
    return np.dstack([rows * 3, columns * 2, (rows + columns) % 256]).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    pillow_heif.register_heif_opener()
    try:
        Image.fromarray(pixels).save(path, format="HEIF", quality=95, chroma=444, **options)
    except (OSError, RuntimeError) as error:
        pytest.skip(f"this build of pillow-heif writes none: {error}")
    return path


def test_a_photograph(tmp_path: Path) -> None:
    read = read_image(save(tmp_path / "a.heic", scene()))
    assert read.shape == (64, 96, 3)
    assert np.abs(read.astype(int) - scene()).mean() < 3
    assert read_still(tmp_path / "a.heic").color is None


def test_it_is_told_by_its_contents(tmp_path: Path) -> None:
    path = save(tmp_path / "a.heic", scene()).rename(tmp_path / "a.jpg")
    assert read_image(path).shape == (64, 96, 3)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_it_is_turned_once(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turns = {3: 2, 6: 3, 8: 1}[orientation]
    stored = np.ascontiguousarray(np.rot90(scene(), -turns))
    read = read_image(save(tmp_path / "a.heic", stored, exif=exif.tobytes()))
    assert read.shape == (64, 96, 3)
    assert np.abs(read.astype(int) - scene()).mean() < 3


def test_its_profile_is_applied(tmp_path: Path) -> None:
    """Phones of Apple save in Display P3."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    read = read_image(save(tmp_path / "a.heic", scene(), icc_profile=profile))
    assert np.abs(read.astype(int) - scene()).mean() < 3


def test_a_folder_of_references_has_them_too(tmp_path: Path) -> None:
    save(tmp_path / "b.heic", scene())
    Image.fromarray(scene()).save(tmp_path / "a.png")
    assert [path.name for path in pictures_in(tmp_path)] == ["a.png", "b.heic"]


def test_damage(tmp_path: Path) -> None:
    path = save(tmp_path / "a.heic", scene())
    data = path.read_bytes()
    for length in range(12, len(data) - 1, max(1, len(data) // 20)):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"a\.heic"):
            read_image(path)
