"""Style distance and structure: what equal, shifted, mixed and moved pictures must give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.filters import sobel
from skimage.metrics import structural_similarity

from refvid.evaluation.color_transfer import transfer_optimal
from refvid.metrics import style as quality
from refvid.metrics.style import (
    patch_distance,
    structure_similarity,
    style_distance,
    style_signature,
)


def distances(picture: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    signatures = style_signature(picture), style_signature(other)
    return style_distance(*signatures), patch_distance(*signatures)


@pytest.fixture
def striped() -> np.ndarray:
    """Nothing like the picture of `make_pair`."""
    rows = np.arange(192)[:, None, None] // 3 % 2
    wide = np.broadcast_to(rows * 200, (192, 208, 3)) + np.array([40, 0, 10])
    return wide.astype(np.uint8)


def test_a_picture_is_at_no_distance_from_itself(make_pair) -> None:
    picture, _ = make_pair()
    assert distances(picture, picture) == (0, 0)


def test_it_is_the_same_every_time(make_pair) -> None:
    pair = make_pair()
    once = distances(*pair)
    quality._directions.cache_clear()
    torch.manual_seed(7)
    np.random.seed(7)
    assert distances(*pair) == once


def test_plain_patches_of_a_brighter_picture(make_pair) -> None:
    """Every projection of a patch moves by the shift times the direction's sum: known exactly."""
    picture = make_pair()[1] // 2 + 30
    shift = 20
    expected = shift / 255 * float(quality._directions().sum(1).abs().mean())
    assert distances(picture, picture + np.uint8(shift))[1] == pytest.approx(expected, rel=1e-4)
    assert 0.7 < expected / (shift / 255) < 0.9


def test_bands_but_the_last_know_no_brightness(make_pair) -> None:
    picture = make_pair()[1] // 2 + 30
    one, other = style_signature(picture), style_signature(picture + np.uint8(20))
    assert torch.allclose(one.bands[:-1], other.bands[:-1], atol=1e-5)
    assert (one.bands[-1] - other.bands[-1]).abs().mean() > 0.01


def test_wasserstein_of_two_known_distributions(monkeypatch) -> None:
    """One direction that reads a pixel: uniform noise against its square has distance 1/2 - 1/3."""
    reader = torch.zeros(1, 147)
    reader[0, 24] = 1  # the middle of red
    monkeypatch.setattr(quality, "_directions", lambda: reader)
    noise = np.random.default_rng(0).random((160, 160, 3))
    pictures = [(values * 65535).astype(np.uint16) for values in (noise, noise**2)]
    one, other = (style_signature(picture).patches[0] for picture in pictures)
    assert float((one - other).abs().mean()) == pytest.approx(1 / 6, abs=0.01)


def test_the_more_of_the_style_the_nearer(make_pair, striped) -> None:
    picture, _ = make_pair()
    mixes = [
        np.round(picture * (1 - share) + striped * share).astype(np.uint8)
        for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    found = [distances(mix, striped) for mix in mixes]
    assert sorted(found, reverse=True) == found
    assert found[0][0] > 0.3
    assert found[-1] == (0, 0)


def test_a_tint_is_less_than_a_style(make_pair) -> None:
    """Right colours without the hatching: nearer by plain patches than by bands."""
    picture, other = make_pair(seed=1)[1], make_pair(seed=2)[1] // 3 + 100
    columns = np.arange(other.shape[1])[None, :, None] // 2 % 2
    style = (other + columns * 30).astype(np.uint8)
    before, tinted = distances(picture, style), distances(transfer_optimal(picture, style), style)
    by_bands, by_patches = (after / from_ for after, from_ in zip(tinted, before, strict=True))
    assert by_patches < 0.4
    assert by_bands > 1.3 * by_patches


def test_where_things_are_plays_no_part(make_pair, striped) -> None:
    picture, _ = make_pair(192, 192)
    turned = np.ascontiguousarray(np.roll(picture, (64, 96), axis=(0, 1)))
    assert distances(picture, turned)[0] < 0.1 * distances(picture, striped)[0]


def test_sixteen_bits_measure_the_same(make_pair) -> None:
    picture, other = make_pair()
    deep = distances(picture.astype(np.uint16) * 257, other.astype(np.uint16) * 257)
    assert deep == pytest.approx(distances(picture, other), rel=1e-4)


def test_a_style_is_brought_to_the_area_of_the_frame(make_pair) -> None:
    _, clean = make_pair(96, 104)
    large = np.kron(clean, np.ones((2, 2, 1), np.uint8))
    fitted = style_signature(large, area=96 * 104)
    assert style_distance(fitted, style_signature(clean)) < 0.1
    assert style_distance(style_signature(large), style_signature(clean)) > 0.2


def test_small_pictures_have_a_distance(make_pair) -> None:
    picture, clean = make_pair(40, 48)
    assert 0 < distances(picture, clean)[0] < np.inf


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_structure_equals_scikit_image(make_pair, dtype) -> None:
    picture, clean = make_pair(61, 83, dtype=dtype)
    white = np.iinfo(dtype).max
    maps = [sobel(pixels / white @ [0.2126, 0.7152, 0.0722]) for pixels in (picture, clean)]
    expected = structural_similarity(
        *maps,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        win_size=11,
        full=True,
    )[1][5:-5, 5:-5].mean()
    assert structure_similarity(picture, clean) == pytest.approx(expected, abs=1e-5)


def test_structure_of_the_same_edges(make_pair) -> None:
    clean = make_pair()[1]
    assert structure_similarity(clean, clean) == pytest.approx(1)
    flat = (clean // 3 + 60).astype(np.uint8)
    assert structure_similarity(flat, clean) < 0.8
    assert structure_similarity(flat, clean, match_contrast=True) > 0.9
    noise = np.random.default_rng(0).integers(0, 256, clean.shape, dtype=np.uint8)
    assert structure_similarity(noise, clean) < 0.3
    assert structure_similarity(noise, clean, match_contrast=True) < 0.6


def test_a_picture_without_edges_has_no_structure(make_pair) -> None:
    clean = make_pair()[1]
    gray = np.full_like(clean, 128)
    for match_contrast in (False, True):
        assert structure_similarity(gray, clean, match_contrast=match_contrast) < 0.1


def test_structure_needs_pictures_of_one_size(make_pair) -> None:
    clean = make_pair()[1]
    with pytest.raises(ValueError, match="differ"):
        structure_similarity(clean[1:], clean)
    with pytest.raises(ValueError, match="shorter than 11"):
        structure_similarity(clean[:10], clean[:10])


def test_large_shapes_are_not_fine_texture(make_pair, striped: np.ndarray) -> None:
    """Stripes of three pixels are no large shape; a disc is, whatever its grain."""
    rows, columns = np.mgrid[:192, :208]
    disc = np.where((rows - 96) ** 2 + (columns - 104) ** 2 < 60**2, 200, 60)
    plain = np.repeat(disc[..., None], 3, -1).astype(np.uint8)
    grain = np.random.RandomState(0).randint(-9, 10, plain.shape)
    grained = np.clip(plain + grain, 0, 255).astype(np.uint8)
    target = style_signature(plain)
    near = quality.large_distance(style_signature(grained), target)
    far = quality.large_distance(style_signature(striped), target)
    assert near < 0.2 * far
    assert style_distance(style_signature(grained), target) > near


class TestContrastKept:
    def test_a_softer_palette_keeps_all(self, make_pair) -> None:
        picture = make_pair()[0]
        assert quality.contrast_kept(picture, picture) == pytest.approx(1)
        assert quality.contrast_kept(picture // 2 + 50, picture) == pytest.approx(1, abs=0.03)

    def test_swapped_light_and_dark_is_less_than_nothing(self, make_pair) -> None:
        picture = make_pair()[0]
        assert quality.contrast_kept(255 - picture, picture) < -0.95

    def test_texture_over_it_hides_what_is_faint(self, make_pair) -> None:
        picture = make_pair()[0]
        faint = (picture // 8 + 110).astype(np.uint8)
        cells = np.random.RandomState(0).randint(-60, 60, (12, 13, 3))
        strokes = np.kron(cells, np.ones((16, 16, 1), int))
        assert strokes.shape == faint.shape
        hidden = np.clip(faint + strokes, 0, 255).astype(np.uint8)
        assert quality.contrast_kept(hidden, faint) < 0.5

    def test_one_colour_has_nothing_to_lose(self) -> None:
        flat = np.full((64, 64, 3), 90, np.uint8)
        assert quality.contrast_kept(flat + np.uint8(9), flat) == 1
