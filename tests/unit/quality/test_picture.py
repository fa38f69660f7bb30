"""PSNR and SSIM against plain formulas and, where it is installed, scikit-image."""

import math

import numpy as np
import pytest

from refvid.quality.picture import psnr, ssim


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(0, 256, (8, 10, 3)), np.ones((6, 6, 1)))
    clean = smooth.astype(np.uint8)
    noisy = np.clip(clean + rng.normal(0, 12, clean.shape), 0, 255).round().astype(np.uint8)
    return noisy, clean


def test_psnr_of_a_known_error() -> None:
    clean = np.full((4, 4, 3), 100, np.uint8)
    assert psnr(clean + np.uint8(10), clean) == pytest.approx(20 * math.log10(255 / 10))
    assert psnr(clean, clean) == math.inf
    # Differences of unsigned numbers must not wrap around.
    assert psnr(clean - np.uint8(10), clean) == psnr(clean + np.uint8(10), clean)


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
    assert ssim(noisy, clean) == pytest.approx(np.mean(values), abs=1e-9)
    assert ssim(clean, clean) == pytest.approx(1.0)


def test_both_equal_scikit_image(pair: tuple[np.ndarray, np.ndarray]) -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    noisy, clean = pair
    assert psnr(noisy, clean) == pytest.approx(metrics.peak_signal_noise_ratio(clean, noisy))
    theirs = metrics.structural_similarity(
        clean, noisy, channel_axis=2, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, data_range=255,
    )  # fmt: skip
    assert ssim(noisy, clean) == pytest.approx(theirs, abs=1e-6)
