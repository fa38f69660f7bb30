"""What another recording of the same moment gives: all that both show, and nothing of an edit."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from refvid.rebuild.same_moment import Copied, SameMoment, find_changes

HEIGHT, WIDTH = 160, 240


def scene(shift: int = 0) -> np.ndarray:
    """Rectangles of all sizes that move along."""
    rng = np.random.default_rng(0)
    picture = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    for _ in range(220):
        x, y = int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT))
        side = int(rng.integers(3, 30))
        color = tuple(int(c) for c in rng.integers(20, 235, 3))
        cv2.rectangle(picture, (x, y), (x + side, y + side // 2 + 2), color, -1)
    return np.roll(cv2.GaussianBlur(picture, (0, 0), 0.6), shift, 1)


def degrade(picture: np.ndarray) -> np.ndarray:
    """Half the size and back, JPEG."""
    small = cv2.resize(picture, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    stored = cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1)
    assert stored is not None
    return np.asarray(cv2.resize(stored, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))


def edit(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Something recoloured, and where."""
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.circle(mask, (120, 80), 30, 1.0, -1)
    tinted = picture.astype(np.float32) * (1.0, 0.3, 0.4) + (0, 0, 90)
    return np.where(mask[..., None] > 0, tinted, picture).clip(0, 255).astype(np.uint8), mask


def copy_one(frame: np.ndarray, other: np.ndarray | None, mask=None) -> Copied | None:
    return SameMoment().copy([frame], [other], [mask], starts_shot=True)


def weights_of(copied: Copied | None) -> np.ndarray:
    assert copied is not None
    (weights,) = copied.weights
    assert weights is not None
    return weights / 255


def test_all_of_an_unedited_frame_is_copied_exactly() -> None:
    clean = scene()
    copied = copy_one(degrade(clean), clean)
    assert weights_of(copied).mean() > 0.97
    assert copied.sharper > 1.2
    (pixels,) = copied.pixels
    assert pixels is not None
    assert np.array_equal(pixels, clean), "not resampled, not recoloured"
    result = copied.put_into(torch.zeros(1, 3, 1, HEIGHT, WIDTH))
    levels = (result[0, :, 0].permute(1, 2, 0).numpy() + 1) * 127.5
    where = weights_of(copied) == 1
    assert np.abs(levels - clean)[where].max() < 0.01


def test_an_edit_is_found_and_left_alone() -> None:
    edited, mask = edit(scene())
    weights = weights_of(copy_one(degrade(edited), scene()))
    inside = cv2.erode(mask, np.ones((9, 9))) > 0
    outside = cv2.dilate(mask, np.ones((41, 41))) == 0
    assert weights[inside].mean() < 0.1
    assert weights[outside].mean() > 0.95


def test_a_mask_is_the_last_word() -> None:
    edited, mask = edit(scene())
    elsewhere = np.roll(mask, 60, 1)
    weights = weights_of(copy_one(degrade(edited), scene(), elsewhere))
    assert weights[elsewhere > 0].max() == 0
    assert weights[elsewhere == 0].min() == 1


def test_another_size_is_laid_over() -> None:
    clean = scene()
    large = cv2.resize(clean, (WIDTH * 2, HEIGHT * 2), interpolation=cv2.INTER_CUBIC)
    copied = copy_one(degrade(clean), large)
    assert weights_of(copied).mean() > 0.9
    assert np.abs(copied.pixels[0].astype(float) - clean).mean() < 4


def test_what_shows_something_else_gives_nothing() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    for other in (None, noise):
        assert copy_one(degrade(scene()), other) is None


def test_what_is_softer_gives_nothing() -> None:
    copied = copy_one(scene(), degrade(scene()))
    assert copied is None or weights_of(copied).max() == 0


def test_frames_without_a_counterpart_stay_as_they_are() -> None:
    clean = scene()
    frames, others = [degrade(clean)] * 2, [clean, None]
    copied = SameMoment().copy(frames, others, [None, None], starts_shot=True)
    rebuilt = torch.full((1, 3, 2, HEIGHT, WIDTH), 0.25)
    result = copied.put_into(rebuilt)
    assert (result[:, :, 1] == 0.25).all()
    assert not (result[:, :, 0] == 0.25).all()
    assert (rebuilt == 0.25).all(), "what was given is not changed"


def test_deep_pictures_are_copied_as_they_are() -> None:
    clean = scene().astype(np.uint16) * 257 + 3
    copied = copy_one(degrade(scene()), clean)
    (pixels,) = copied.pixels
    assert pixels is not None
    assert pixels.dtype == np.uint16
    assert np.array_equal(pixels, clean)


def test_compression_is_no_change() -> None:
    assert find_changes(degrade(scene()), scene()).mean() < 0.05
    assert find_changes(scene(), scene()).max() == 0
