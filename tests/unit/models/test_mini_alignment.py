"""Alignment finds places to a fraction of a pixel, follows turning, and tells what it found."""

import cv2
import numpy as np
import pytest
import torch

from refvid.models.mini.alignment import (
    Flow,
    FramePlaced,
    align,
    correlate_cells,
    find_coarse,
    fine_detail,
    gray,
    refine,
)
from refvid.models.mini.smooth_map import pixel_grid


@pytest.fixture
def scene() -> np.ndarray:
    """(192, 256, 3) uint8, with texture of several sizes."""
    rng = np.random.default_rng(0)
    layers = [
        cv2.GaussianBlur(rng.normal(size=(192, 256, 3)), (0, 0), sigma) * sigma
        for sigma in (1.5, 4, 10)
    ]
    total = sum(layers)
    return ((total / np.abs(total).max() + 1) * 127).astype(np.uint8)


def moved(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    size = (picture.shape[1], picture.shape[0])
    warped = cv2.warpAffine(
        picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(warped, np.uint8)


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def search(frame: np.ndarray, reference: np.ndarray, prior: Flow | None = None) -> Flow:
    return refine(frame, reference, find_coarse(frame, reference, prior))


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (0.5, -0.25), (6.3, 3.7), (-17.0, 9.0)])
def test_shifts_are_found_to_a_fraction_of_a_pixel(scene: np.ndarray, x: float, y: float) -> None:
    frame = moved(scene, np.array([[1.0, 0, x], [0, 1, y]]))
    flow = search(gray(frame), gray(scene))
    inner = flow[32:-32, 32:-32]
    assert np.abs(inner - np.array((-x, -y))).mean() < 0.1


def test_turning_and_zooming_are_followed_inside_of_tokens(scene: np.ndarray) -> None:
    matrix = cv2.getRotationMatrix2D((128, 96), 4, 1.05)
    frame = blurred(moved(scene, matrix), 1.2)
    flow = search(gray(frame), gray(scene))
    back = cv2.invertAffineTransform(matrix)
    expected = cv2.transform(pixel_grid((192, 256)), back) - pixel_grid((192, 256))
    assert np.abs(flow - expected)[32:-32, 32:-32].mean() < 0.15


def test_what_moved_far_is_followed_from_frame_to_frame(scene: np.ndarray) -> None:
    wide = np.concatenate([scene, scene[:, ::-1]], 1)
    reference, prior, flow = wide[:, :256], None, None
    for step in range(1, 9):
        frame = wide[:, 10 * step : 10 * step + 256]
        prior = find_coarse(gray(frame), gray(reference), prior)
        flow = refine(gray(frame), gray(reference), prior)
    assert flow is not None
    assert np.abs(flow[32:-32, 32:144] - np.array((80, 0))).mean() < 1


def test_the_same_twice_is_the_same(scene: np.ndarray) -> None:
    frame = moved(scene, np.array([[1.0, 0, 2.5], [0, 1, 1]]))
    coarse = find_coarse(gray(frame), gray(scene))
    before = coarse.copy()
    first = refine(gray(frame), gray(scene), coarse)
    find_coarse(gray(scene), gray(frame), coarse)
    assert np.array_equal(coarse, before), "what it begins with is not touched"
    assert np.array_equal(refine(gray(frame), gray(scene), coarse), first)


@pytest.mark.parametrize("size", [(32, 32), (40, 64), (64, 1024), (136, 72)])
def test_small_and_long_pictures_do(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    shades = gray(picture)
    found = align(shades, FramePlaced(picture), find_coarse(shades, shades))
    assert found.pixels.shape == picture.shape
    assert found.trust.shape == (3, size[0] // 4, size[1] // 4)


def test_trust_tells_what_is_the_same(scene: np.ndarray) -> None:
    shades = gray(blurred(scene, 1.5))
    same = FramePlaced(scene)
    found = align(shades, same, find_coarse(shades, same.shades))
    assert found.likeness.found > 0.9
    assert found.trust[0].mean() > 0.8
    other = FramePlaced(np.ascontiguousarray(scene[::-1, ::-1]))
    lost = align(shades, other, find_coarse(shades, other.shades))
    assert lost.likeness.found < 0.4
    assert lost.likeness.correlation < found.likeness.correlation - 0.3


def test_what_is_not_shown_is_not_trusted(scene: np.ndarray) -> None:
    shown = np.ones(scene.shape[:2], np.bool_)
    shown[:, 128:] = False
    placed = FramePlaced(scene, shown)
    found = align(placed.shades, placed, find_coarse(placed.shades, placed.shades))
    assert not found.trust[:, :, 34:].any()
    assert (found.trust[2, :, :30] == 1).all()


def test_plain_places_say_nothing() -> None:
    rng = np.random.default_rng(0)
    plain = (128 + rng.integers(-1, 2, (64, 64))).astype(np.uint8)
    correlation, texture = correlate_cells(plain, np.full((64, 64), 128, np.uint8), 4)
    assert np.abs(correlation).max() < 0.2
    assert texture.max() < 0.2


def test_fine_detail_is_what_blurring_takes(scene: np.ndarray) -> None:
    everywhere = np.ones((48, 64), np.bool_)
    sharp = fine_detail(gray(scene), everywhere)
    assert sharp > 1.5 * fine_detail(gray(blurred(scene, 2)), everywhere)
    assert fine_detail(gray(scene), ~everywhere) == 0


def test_torch_and_opencv_agree_on_gray(scene: np.ndarray) -> None:
    from refvid.models.mini.autoencoder import to_shades

    tensor = torch.from_numpy(scene).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert np.abs(to_shades(tensor).astype(int) - gray(scene)).max() <= 1


@pytest.mark.skipif(int(cv2.__version__.partition(".")[0]) < 5, reason="draws other letters")
def test_moving_text_is_found_in_what_lost_its_detail() -> None:
    """Thin strokes on plain ground: nothing beside them tells where they are."""
    page = np.full((288, 512), 20, np.uint8)
    rng = np.random.default_rng(0)
    for row in range(24, 280, 24):
        letters = "".join(rng.choice(list("EFHKLMNTWXAV2457"), 40))
        cv2.putText(page, letters, (4, row), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 235, 1, cv2.LINE_AA)
    frame = moved(page, np.array([[1.0, 0, 9.3], [0, 1, 4.6]]))
    flow = search(blurred(frame, 1.5), page)
    written = cv2.dilate(frame, np.ones((3, 3))) > 100
    errors = np.abs(flow - np.array((-9.3, -4.6)))[32:-32, 32:-32].max(-1)[written[32:-32, 32:-32]]
    assert np.mean(errors < 0.5) > 0.95
