"""Matching finds where the picture went, at any distance, and remembers it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refvid.models import matching
from refvid.models.matching import TOKEN, index_reference, match_tokens


def corners(height: int, width: int) -> torch.Tensor:
    rows, columns = torch.arange(0, height, TOKEN), torch.arange(0, width, TOKEN)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)


@pytest.mark.parametrize("shift", [(0, 0), (2, -4), (10, -14), (-40, 62), (34, 80)])
def test_finds_an_even_shift(texture: torch.Tensor, shift: tuple[int, int]) -> None:
    moved = torch.roll(texture, shift, (2, 3))
    found = match_tokens(moved, index_reference(texture)).position.view(16, 24, 2)
    expected = corners(128, 192) - torch.tensor(shift)
    # Tokens whose surroundings (3 pixels, for the context of patches) come from inside.
    inside = (expected >= 8).all(-1) & (expected <= torch.tensor((112, 176))).all(-1)
    assert inside.sum() > 40
    right = (found == expected).all(-1)[inside]
    # The noise changes when it is made smaller between its pixels: a few tokens are deceived.
    assert right.float().mean() > 0.95, f"{right.float().mean():.1%}"


def test_cost_is_zero_where_found_and_not_elsewhere(texture: torch.Tensor) -> None:
    index = index_reference(texture)
    same = match_tokens(texture, index)
    other = match_tokens(-texture.flip(3), index)
    assert same.cost.max() < 1e-9
    assert other.cost.median() > 1e-3


def test_positions_stay_inside_the_reference(texture: torch.Tensor) -> None:
    position = match_tokens(-texture, index_reference(texture)).position
    assert (position >= 0).all()
    assert (position <= torch.tensor((128 - TOKEN, 192 - TOKEN))).all()


def test_flat_pictures_stay_where_they_are() -> None:
    flat = torch.full((1, 3, 64, 96), 0.3)
    position = match_tokens(flat, index_reference(flat)).position
    assert torch.equal(position[0], corners(64, 96).view(-1, 2))


def test_prior_is_a_hypothesis_that_wins_where_it_is_right(texture: torch.Tensor) -> None:
    """A repeated pattern is ambiguous; the place of the frame before decides."""
    tile = texture[..., :64, :64]
    repeated = tile.repeat(1, 1, 2, 3)
    index = index_reference(repeated)
    prior = (corners(128, 192) + torch.tensor((0, 64))).view(1, -1, 2)
    prior[..., 1].clamp_(max=192 - TOKEN)
    wrong = torch.zeros_like(prior)
    kept = match_tokens(repeated, index, prior)
    assert kept.cost.max() < 1e-9
    assert match_tokens(repeated, index, wrong).cost.max() < 1e-9


def test_crops_are_found_in_the_larger_picture(texture: torch.Tensor) -> None:
    origin = torch.tensor([[40, 72]])
    crop = texture[..., 40:104, 72:136]
    found = match_tokens(crop, index_reference(texture), origin=origin).position
    assert torch.equal(found[0], corners(64, 64).view(-1, 2) + origin)


def test_batches_do_not_mix(texture: torch.Tensor) -> None:
    pair = torch.cat((texture, texture.flip(2)))
    moved = torch.roll(pair, (6, 8), (2, 3))
    both = match_tokens(moved, index_reference(pair))
    for item in range(2):
        alone = match_tokens(moved[item : item + 1], index_reference(pair[item : item + 1]))
        assert torch.equal(both.position[item], alone.position[0])


def test_large_frames_search_on_a_smaller_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(3)
    noise = torch.rand(1, 3, 64, 96, generator=generator) * 2 - 1
    picture = torch.nn.functional.interpolate(noise, scale_factor=4, mode="bicubic")
    monkeypatch.setattr(matching, "MAX_COARSE_TOKENS", 100)
    index = index_reference(picture)
    assert index.coarse_scale == 8
    found = match_tokens(torch.roll(picture, (32, -64), (2, 3)), index).position
    expected = (corners(256, 384) - torch.tensor((32, -64)))[8:24, 8:32]
    agree = (found.view(32, 48, 2)[8:24, 8:32] == expected).all(-1)
    assert agree.float().mean() > 0.9


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(4, 9), columns=st.integers(4, 9), seed=st.integers(0, 99))
def test_any_size_matches_itself(rows: int, columns: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    picture = torch.rand(1, 3, 8 * rows, 8 * columns, generator=generator) * 2 - 1
    found = match_tokens(picture, index_reference(picture))
    assert torch.equal(found.position[0], corners(8 * rows, 8 * columns).view(-1, 2))
