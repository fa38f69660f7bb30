"""Masks as people and programs save them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from refvid.errors import InputError
from refvid.media.mask import mask_weights, read_mask

WHERE = np.zeros((48, 64), np.uint8)
WHERE[8:24, 16:40] = 255
WHITE = np.full_like(WHERE, 255)


def save(path: Path, *channels: np.ndarray) -> Path:
    Image.fromarray(np.squeeze(np.dstack(channels))).save(path)
    return path


@pytest.mark.parametrize(
    "channels",
    [
        (WHERE,),
        (WHERE, WHITE),
        (WHITE, WHERE),  # white paint on a transparent layer
        (WHITE, WHITE, WHITE, WHERE),
        (WHERE, WHERE, WHERE, WHERE),
    ],
)
def test_light_counts_and_what_is_transparent_is_black(tmp_path, channels):
    weights = read_mask(save(tmp_path / "mask.png", *channels))
    assert weights.dtype == np.float32
    assert np.array_equal(weights, WHERE / np.float32(255))


@pytest.mark.parametrize(
    ("name", "is_transparent"), [("mask.png", False), ("mask.png", True), ("mask.tif", False)]
)
def test_of_16_bits(tmp_path, name, is_transparent):
    deep = WHERE.astype(np.uint16) * 257
    white = np.full_like(deep, 65535)
    channels = [white, white, white, deep] if is_transparent else [deep, deep, deep]
    cv2.imwrite(str(tmp_path / name), np.dstack(channels))
    assert np.array_equal(read_mask(tmp_path / name) > 0.5, WHERE > 0)
    assert set(np.unique(read_mask(tmp_path / name))) == {0, 1}


def test_palettes_and_bits(tmp_path):
    indices = Image.fromarray((WHERE > 0).astype(np.uint8)).convert("P")
    indices.putpalette([0, 0, 0, 255, 255, 255])
    indices.save(tmp_path / "palette.png")
    Image.fromarray(WHERE).convert("1").save(tmp_path / "bits.png")
    for name in ("palette.png", "bits.png"):
        assert np.array_equal(read_mask(tmp_path / name), WHERE / np.float32(255))


@pytest.mark.parametrize("most", [1, 3])
def test_numbers_of_things_are_no_light(tmp_path, most):
    """They would all be next to black: nothing would count, and nobody would be told."""
    with pytest.raises(InputError, match=rf"nearly black: its brightest value is {most} of 255"):
        read_mask(save(tmp_path / "mask.png", (WHERE > 0).astype(np.uint8) * most))


def test_8_bits_in_16_are_next_to_black(tmp_path):
    cv2.imwrite(str(tmp_path / "mask.png"), WHERE.astype(np.uint16))
    with pytest.raises(InputError, match="nearly black: its brightest value is 255 of 65535"):
        read_mask(tmp_path / "mask.png")


def test_colors_are_no_mask(tmp_path):
    red = save(tmp_path / "red.png", WHERE, 0 * WHERE, 0 * WHERE)
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    hole = save(tmp_path / "hole.png", photo, 255 - WHERE)  # where the edit is, nothing is left
    labels = Image.fromarray((WHERE > 0).astype(np.uint8)).convert("P")
    labels.putpalette([0, 0, 0, 128, 0, 0])
    labels.save(tmp_path / "labels.png")
    for path in (red, hole, tmp_path / "labels.png"):
        with pytest.raises(InputError, match=r"in colours\. Make it white where it counts"):
            read_mask(path)


def test_compression_makes_no_colors(tmp_path):
    path = tmp_path / "mask.jpg"
    Image.fromarray(np.dstack([WHERE] * 3)).save(path, quality=10)
    assert np.abs(read_mask(path) - WHERE / 255).mean() < 0.05
    noise = np.random.default_rng(0).integers(0, 12, (48, 64, 3), np.uint8)
    assert mask_weights(noise, path).max() < 0.05


def test_a_palette_makes_few_colors(tmp_path):
    dithered = np.dstack([WHERE, WHERE, WHERE])
    dithered[::8, ::8, 2] = dithered[::8, ::8, 2] // 3 * 2
    assert read_mask(save(tmp_path / "mask.png", dithered)).max() == 1


def test_all_black_and_all_white_are_masks(tmp_path):
    assert read_mask(save(tmp_path / "black.png", 0 * WHERE)).max() == 0
    assert read_mask(save(tmp_path / "white.png", WHITE)).min() == 1
