"""The baselines have the statistics that they promise."""

from __future__ import annotations

import numpy as np
import pytest

from refvid.evaluation.color_transfer import (
    from_oklab,
    match_covariance,
    match_moments,
    to_oklab,
    transfer_optimal,
    transfer_reinhard,
)


@pytest.fixture
def clouds() -> tuple[np.ndarray, np.ndarray]:
    """Colours of two pictures, (N, 3), with correlated axes."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(2, 3, 3)) * 0.05
    return rng.normal(size=(500, 3)) @ mix[0] + 0.4, rng.normal(size=(700, 3)) @ mix[1] + 0.6


def test_moments_are_the_styles(clouds) -> None:
    moved = match_moments(*clouds)
    assert moved.mean(0) == pytest.approx(clouds[1].mean(0))
    assert moved.std(0) == pytest.approx(clouds[1].std(0))


def test_covariance_is_the_styles(clouds) -> None:
    moved = match_covariance(*clouds)
    assert moved.mean(0) == pytest.approx(clouds[1].mean(0))
    assert np.cov(moved.T) == pytest.approx(np.cov(clouds[1].T), rel=1e-2, abs=1e-6)


def test_the_optimal_map_moves_colours_least(clouds) -> None:
    """Among linear maps with that covariance it is the symmetric one: try turning it."""
    colors, style = clouds
    least = np.square(match_covariance(colors, style) - colors).sum()
    values, vectors = np.linalg.eigh(np.cov(style.T, bias=True))
    root = (vectors * np.sqrt(values)) @ vectors.T
    own_values, own_vectors = np.linalg.eigh(np.cov(colors.T, bias=True))
    white = (colors - colors.mean(0)) @ (own_vectors / np.sqrt(own_values)) @ own_vectors.T
    for seed in range(5):
        turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
        other = white @ turn @ root + style.mean(0)
        assert np.square(other - colors).sum() > least


def test_oklab_and_back() -> None:
    colors = np.random.default_rng(0).random((1000, 3))
    assert from_oklab(to_oklab(colors)) == pytest.approx(colors, abs=1e-6)
    white, gray, red = to_oklab(np.array([[1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0]], float))
    assert white == pytest.approx([1, 0, 0], abs=1e-4)
    assert gray[1:] == pytest.approx([0, 0], abs=1e-4)
    assert red == pytest.approx([0.62796, 0.22486, 0.12585], abs=1e-4)  # as Ottosson gives it


@pytest.mark.parametrize("transfer", [transfer_reinhard, transfer_optimal])
def test_pictures(transfer, make_pair) -> None:
    picture, style = make_pair(seed=1)[1], make_pair(seed=2)[1] // 2 + 100
    moved = transfer(picture, style)
    assert moved.shape == picture.shape
    assert moved.dtype == np.uint8
    assert moved.mean((0, 1)) == pytest.approx(style.mean((0, 1)), abs=3)
    assert moved.std((0, 1)) == pytest.approx(style.std((0, 1)), abs=3)
    assert np.abs(transfer(picture, picture).astype(int) - picture).max() <= 1


@pytest.mark.parametrize("transfer", [transfer_reinhard, transfer_optimal])
def test_a_picture_of_one_colour(transfer, make_pair) -> None:
    flat, style = np.full((20, 20, 3), 90, np.uint8), make_pair()[1]
    moved = transfer(flat, style)
    assert moved.std((0, 1)) == pytest.approx([0, 0, 0])
    assert np.all(transfer(style, flat) == np.uint8(90))
