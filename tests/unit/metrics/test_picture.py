"""PSNR, SSIM and MS-SSIM against plain formulas, and what must hold of any picture."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from refvid.metrics.ffmpeg_ssim import ssim_ffmpeg
from refvid.metrics.pairs import EmptyMask
from refvid.metrics.psnr import mean_square_error, psnr, psnr_of, psnr_of_planes
from refvid.metrics.ssim import ms_ssim, ssim

MEASURES = (psnr, ssim, ssim_ffmpeg, ms_ssim)


@pytest.fixture
def pair(make_pair) -> tuple[np.ndarray, np.ndarray]:
    return make_pair(48, 60, quality=None)


@st.composite
def pictures(draw, smallest: int = 1):
    """Two pictures of one size and type."""
    height, width = draw(st.tuples(*[st.integers(smallest, smallest + 12)] * 2))
    dtype = draw(st.sampled_from([np.uint8, np.uint16]))
    one, other = (draw(arrays.arrays(dtype, (height, width, 3))) for _ in range(2))
    return one, other


def test_psnr_of_a_known_error() -> None:
    clean = np.full((4, 4, 3), 100, np.uint8)
    assert psnr(clean + np.uint8(10), clean) == pytest.approx(20 * math.log10(255 / 10))
    assert psnr(clean, clean) == math.inf
    # Differences of unsigned numbers must not wrap around.
    assert psnr(clean - np.uint8(10), clean) == psnr(clean + np.uint8(10), clean)


@pytest.mark.parametrize("shape", [(1, 1, 3), (720, 1283, 3), (2, 45, 37, 3)])
def test_the_sum_is_exact(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 256, (2, *shape), dtype=np.uint8)
    total = int(((one.astype(np.int64) - other) ** 2).sum())
    assert mean_square_error(one, other) == total / (one.size * 255**2)
    # Parts of pictures lie apart in memory.
    cut = one[..., :-1, :], other[..., :-1, :]
    if cut[0].size:
        total = int(((cut[0].astype(np.int64) - cut[1]) ** 2).sum())
        assert mean_square_error(*cut) == total / (cut[0].size * 255**2)


def test_colours_by_themselves_give_the_same_number() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 256, (2, 45, 37, 3), dtype=np.uint8)
    assert psnr_of_planes(cv2.split(one), cv2.split(other)) == psnr(one, other)
    assert psnr_of_planes(cv2.split(one), cv2.split(one)) == math.inf


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_largest_error_does_not_overflow(dtype) -> None:
    black = np.zeros((64, 64, 3), dtype)
    white = np.full_like(black, np.iinfo(dtype).max)
    assert mean_square_error(white, black) == 1
    assert psnr(black, white) == 0
    half = np.zeros((64, 64), np.float32)
    half[:32] = 0.5
    assert mean_square_error(white, black, half) == pytest.approx(1)


def test_depth_does_not_matter(make_pair) -> None:
    pair = make_pair()
    deep = [picture.astype(np.uint16) * 257 for picture in pair]
    for measure in MEASURES:
        assert measure(*deep) == pytest.approx(measure(*pair), abs=1e-6)


def test_ssim_equals_its_formula(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """One window, in the middle of the picture, written out."""
    noisy, clean = (p[10:21, 10:21] for p in pair)
    offset = np.arange(-5, 6)
    weights = np.exp(-0.5 * (offset / 1.5) ** 2)
    window = np.outer(weights, weights)
    window /= window.sum()
    values = []
    for color in range(3):
        x, y = noisy[..., color].astype(float), clean[..., color].astype(float)
        mean_x, mean_y = (window * x).sum(), (window * y).sum()
        variance_x = (window * (x - mean_x) ** 2).sum()
        variance_y = (window * (y - mean_y) ** 2).sum()
        covariance = (window * (x - mean_x) * (y - mean_y)).sum()
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        values.append(
            (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
            / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))
        )  # fmt: skip
    assert ssim(noisy, clean) == pytest.approx(np.mean(values), abs=1e-6)
    assert ssim(clean, clean) == pytest.approx(1, abs=1e-6)


@settings(deadline=None)
@given(pictures())
def test_psnr_does_not_care_which_is_clean(pair) -> None:
    one, other = pair
    assert psnr(one, other) == psnr(other, one) >= 0
    assert psnr(one, one) == math.inf
    exact = np.mean((one.astype(float) - other) ** 2) / np.iinfo(one.dtype).max ** 2
    assert psnr(one, other) == pytest.approx(psnr_of(exact))


@settings(max_examples=30, deadline=None)
@given(pictures(smallest=11))
def test_ssim_does_not_care_which_is_clean(pair) -> None:
    one, other = pair
    assert ssim(one, other) == pytest.approx(ssim(other, one), abs=1e-6)
    assert -1 - 1e-6 <= ssim(one, other) <= 1 + 1e-6
    assert ssim(one, one) == pytest.approx(1, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(pictures(smallest=11), st.floats(0.001, 1000))
def test_weights_all_alike_change_nothing(pair, weight) -> None:
    one, other = pair
    mask = np.full(one.shape[:2], weight, np.float32)
    expected = mean_square_error(one, other)
    assert mean_square_error(one, other, mask) == pytest.approx(expected, rel=1e-5)
    for measure in (ssim, ssim_ffmpeg):
        assert measure(one, other, mask) == pytest.approx(measure(one, other), abs=1e-5)


def test_ms_ssim_with_weights_all_alike(make_pair) -> None:
    for height, width in ((176, 192), (161, 171)):
        noisy, clean = make_pair(height, width)
        mask = np.full((height, width), 0.3, np.float32)
        assert ms_ssim(noisy, clean, mask) == pytest.approx(ms_ssim(noisy, clean), abs=1e-6)


@pytest.mark.parametrize("measure", MEASURES)
def test_what_is_masked_out_does_not_count(make_pair, measure) -> None:
    noisy, clean = make_pair(192, 400)
    mask = np.zeros(clean.shape[:2], np.float32)
    mask[:, :100] = 1
    spoiled = noisy.copy()
    spoiled[:, 300:] = 0  # farther away than the windows of the coarsest scale reach
    assert measure(spoiled, clean, mask) == pytest.approx(measure(noisy, clean, mask), abs=1e-6)
    assert measure(spoiled, clean) < measure(noisy, clean) - 0.001


def test_a_mask_of_a_part_measures_that_part(make_pair) -> None:
    noisy, clean = make_pair()
    mask = np.zeros(clean.shape[:2], np.float32)
    mask[20:90, 30:150] = 1
    part = (slice(20, 90), slice(30, 150))
    assert psnr(noisy, clean, mask) == pytest.approx(psnr(noisy[part], clean[part]), abs=1e-5)
    around = (slice(15, 95), slice(25, 155))  # windows reach five pixels out
    assert ssim(noisy, clean, mask) == pytest.approx(ssim(noisy[around], clean[around]), abs=1e-6)


@pytest.mark.parametrize("measure", MEASURES)
def test_impossible_masks(make_pair, measure) -> None:
    pair = make_pair()
    shape = pair[0].shape[:2]
    with pytest.raises(EmptyMask):
        measure(*pair, np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="negative"):
        measure(*pair, np.full(shape, -1, np.float32))
    with pytest.raises(ValueError, match="negative"):
        measure(*pair, np.full(shape, np.nan, np.float32))
    with pytest.raises(ValueError, match="mask is"):
        measure(*pair, np.ones((shape[1], shape[0]), np.float32))


def test_a_mask_where_no_window_fits(make_pair) -> None:
    noisy, clean = make_pair()
    mask = np.zeros(clean.shape[:2], np.float32)
    mask[:3] = 1
    assert psnr(noisy, clean, mask) > 0
    for measure in (ssim, ms_ssim):
        with pytest.raises(EmptyMask):
            measure(noisy, clean, mask)


@pytest.mark.parametrize("measure", MEASURES)
def test_pictures_that_cannot_be_compared(make_pair, measure) -> None:
    noisy, clean = make_pair()
    with pytest.raises(ValueError, match="differ"):
        measure(noisy[1:], clean)
    with pytest.raises(ValueError, match="differ"):
        measure(noisy.astype(np.uint16), clean)
    with pytest.raises(ValueError, match="uint8 or uint16"):
        measure(noisy / 255, clean / 255)


def test_pictures_that_are_too_small(make_pair) -> None:
    noisy, clean = make_pair()
    with pytest.raises(ValueError, match="shorter than 11"):
        ssim(noisy[:10], clean[:10])
    with pytest.raises(ValueError, match="shorter than 8"):
        ssim_ffmpeg(noisy[:7], clean[:7])
    with pytest.raises(ValueError, match="shorter than 161"):
        ms_ssim(noisy[:160], clean[:160])
    assert ms_ssim(noisy[:161, :161], clean[:161, :161]) < 1
