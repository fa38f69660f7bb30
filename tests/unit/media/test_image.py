"""Single images: reading, writing, fitting."""

from __future__ import annotations

import io
import logging
import os

import numpy as np
import pytest
from PIL import Image, ImageCms

from refvid.errors import InputError, OutputError
from refvid.media.deep_image import turn_upright
from refvid.media.fit import fit_image
from refvid.media.image import read_image, write_image


def gradient(height=20, width=30, peak=255):
    across = np.linspace(0, peak, width)[np.newaxis, :]
    down = np.linspace(0, peak, height)[:, np.newaxis]
    rows = [np.broadcast_to(values, (height, width)) for values in (across, down, across * 0.5)]
    return np.stack(rows, axis=-1).astype(np.uint8 if peak == 255 else np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".webp", ".ppm", ".tga"])
def test_lossless_formats(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_image(path, gradient())
    assert np.array_equal(read_image(path), gradient())
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".avif", ".jp2"])
def test_lossy_formats(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_image(path, gradient())
    assert np.abs(read_image(path).astype(int) - gradient()).mean() < 2


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
def test_sixteen_bits_are_kept(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    pixels = gradient(peak=65535)
    write_image(path, pixels)
    assert np.array_equal(read_image(path), pixels)


def test_sixteen_bits_are_rounded_where_they_must(tmp_path):
    path = tmp_path / "a.bmp"
    write_image(path, np.full((4, 4, 3), 65535, np.uint16))
    assert read_image(path).max() == 255
    assert read_image(path).dtype == np.uint8


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("L", 100, (100, 100, 100)),
        ("1", 1, (255, 255, 255)),
        ("LA", (100, 255), (100, 100, 100)),
        ("RGBA", (200, 10, 20, 255), (200, 10, 20)),
        ("RGBA", (200, 10, 20, 0), (128, 128, 128)),
        ("RGBA", (228, 128, 28, 128), (178, 128, 78)),
        ("P", 0, (12, 34, 56)),
        ("I;16", 51400, (51400, 51400, 51400)),
    ],
)
def test_modes(tmp_path, mode, value, expected):
    path = tmp_path / "a.png"
    image = Image.new(mode, (6, 4), value)
    if mode == "P":
        image.putpalette([12, 34, 56])
    image.save(path)
    pixels = read_image(path)
    assert pixels.shape == (4, 6, 3)
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_transparent_palette(tmp_path):
    path = tmp_path / "a.png"
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0])
    image.save(path, transparency=0)
    assert (read_image(path) == 128).all()


def test_cmyk(tmp_path):
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    red = read_image(tmp_path / "a.jpg").astype(int)
    assert np.abs(red - (254, 0, 0)).max() < 40


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = Image.fromarray(gradient())
    plain.save(tmp_path / "a.png", exif=exif)
    expected = np.asarray(_transposed(plain, orientation))
    assert np.array_equal(read_image(tmp_path / "a.png"), expected)
    with Image.open(tmp_path / "a.png") as image:  # 16-bit images are turned by our own code
        deep = turn_upright(gradient().astype(np.uint16), image)
    assert np.array_equal(deep, expected)


def _transposed(image, orientation):
    methods = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    return image.transpose(methods[orientation]) if orientation in methods else image


def test_colour_profiles_are_converted(tmp_path, caplog):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    path = tmp_path / "a.png"
    Image.fromarray(gradient()).save(path, icc_profile=srgb)
    assert np.abs(read_image(path).astype(int) - gradient()).max() <= 1
    for useless in (lab, b"no profile"):
        Image.fromarray(gradient()).save(path, icc_profile=useless)
        with caplog.at_level(logging.WARNING):
            assert np.array_equal(read_image(path), gradient())
        assert "colour profile" in caplog.text
        caplog.clear()


def test_what_is_no_image(tmp_path, samples):
    (tmp_path / "text.png").write_text("hello " * 100)
    (tmp_path / "empty.png").touch()
    (tmp_path / "vector.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    write_image(tmp_path / "good.png", gradient())
    data = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    samples.make()
    for name in ("text.png", "empty.png", "vector.eps", "cut.png", "in.mp4", "absent.png", "."):
        with pytest.raises(InputError) as caught:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def test_images_that_would_fill_the_memory(tmp_path):
    buffer = io.BytesIO()
    Image.new("1", (30000, 30000)).save(buffer, "PNG")
    (tmp_path / "bomb.png").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="too large"):
        read_image(tmp_path / "bomb.png")


def test_writing_fails_cleanly(tmp_path):
    for name in ("a.mp4", "a", "absent/a.png"):
        with pytest.raises(OutputError):
            write_image(tmp_path / name, gradient())
    (tmp_path / "mine.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        write_image(tmp_path / "mine.png", gradient(), overwrite=False)
    assert os.listdir(tmp_path) == ["mine.png"]  # noqa: PTH208


@pytest.mark.parametrize("peak", [255, 65535])
@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
@pytest.mark.parametrize("size", [(30, 20), (64, 64), (10, 40), (7, 3), (1, 1)])
def test_fit_gives_the_size_and_type(peak, fit, size):
    fitted = fit_image(gradient(peak=peak), size[0], size[1], fit)
    assert fitted.shape == (size[1], size[0], 3)
    assert fitted.dtype == gradient(peak=peak).dtype


def test_fit_keeps_what_fits():
    pixels = gradient()
    for fit in ("cover", "contain", "stretch"):
        assert np.array_equal(fit_image(pixels, 30, 20, fit), pixels)


def test_cover_crops_the_middle():
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    assert fit_image(pixels, 10, 10, "cover").min() > 240


def test_contain_repeats_the_edges():
    pixels = np.full((10, 10, 3), 50, np.uint8)
    pixels[:5] = 200
    fitted = fit_image(pixels, 10, 30, "contain")
    assert (fitted[:10] == 200).all()
    assert (fitted[20:] == 50).all()
    assert np.array_equal(fitted[10:20], pixels)


def test_eight_and_sixteen_bits_fit_alike():
    small = fit_image(gradient(), 13, 17, "cover").astype(int)
    deep = fit_image(gradient().astype(np.uint16) * 257, 13, 17, "cover") / 257
    assert np.abs(small - deep).max() <= 1


def test_impossible_fits():
    with pytest.raises(ValueError, match="fit"):
        fit_image(gradient(), 0, 5, "cover")
    with pytest.raises(ValueError, match="fit"):
        fit_image(gradient(), 5, 5, "other")  # type: ignore[arg-type]
