"""Finite scalar quantisation: numbers, levels, indices."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from refvid.models.quantiser import Quantiser

LEVELS = st.lists(st.integers(2, 9), min_size=1, max_size=5).map(tuple)


@given(levels=LEVELS, seed=st.integers(0, 1000))
def test_indices_stand_for_what_was_quantised(levels: tuple[int, ...], seed: int) -> None:
    quantiser = Quantiser(levels)
    generator = torch.Generator().manual_seed(seed)
    numbers = 3 * torch.randn(2, len(levels), 3, 4, generator=generator)
    quantised = quantiser.quantise(numbers)
    indices = quantiser.to_indices(quantised)
    assert indices.shape == (2, 3, 4)
    assert 0 <= int(indices.min()) <= int(indices.max()) < quantiser.codes
    assert (
        torch.equal(quantiser.from_indices(indices), quantised.detach().round(decimals=6))
        or (quantiser.from_indices(indices) - quantised).abs().max() < 1e-5
    )


@given(levels=LEVELS)
def test_every_code_comes_back(levels: tuple[int, ...]) -> None:
    quantiser = Quantiser(levels)
    indices = torch.arange(quantiser.codes)
    assert torch.equal(quantiser.to_indices(quantiser.from_indices(indices)), indices)


def test_zero_is_a_level_and_gradients_pass() -> None:
    quantiser = Quantiser((8, 5))
    numbers = torch.zeros(1, 2, 1, requires_grad=True)
    quantised = quantiser.quantise(numbers)
    assert quantised.abs().max() < 1e-6
    quantised.sum().backward()
    assert numbers.grad is not None
    assert (numbers.grad > 0.1).all()


@given(levels=LEVELS)
def test_expanded_levels_are_near_the_numbers(levels: tuple[int, ...]) -> None:
    quantiser = Quantiser(levels)
    codes = quantiser.from_indices(torch.arange(quantiser.codes))
    again = quantiser.quantise(quantiser.expand(codes))
    assert (again - codes).abs().max() < 1e-5, "they are on the level that they came from"


def test_what_is_no_code_is_refused() -> None:
    quantiser = Quantiser((4, 4))
    for index in (-1, 16):
        with pytest.raises(ValueError, match="16 codes"):
            quantiser.from_indices(torch.tensor([index]))
    with pytest.raises(ValueError, match="at least two"):
        Quantiser((4, 1))
