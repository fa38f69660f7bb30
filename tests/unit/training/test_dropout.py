"""Latent-token dropout."""

import random

import torch

from refvid.training.dropout import draw_token_dropout, token_mask


def test_masks_drop_their_share() -> None:
    for share in (0.0, 0.25, 0.7):
        kept = torch.stack([token_mask(32, 32, share, seed) for seed in range(30)])
        assert set(kept.unique().tolist()) <= {0.0, 1.0}
        assert abs(float(kept.mean()) - (1 - share)) < 0.01
    # No position is favoured, and neighbours know nothing of each other.
    kept = torch.stack([token_mask(8, 8, 0.5, seed) for seed in range(2000)])
    assert float((kept.mean(0) - 0.5).abs().max()) < 0.06
    assert abs(float((kept[:, :, 1:] * kept[:, :, :-1]).mean()) - 0.25) < 0.01


def test_masks_repeat_with_their_seed() -> None:
    assert torch.equal(token_mask(9, 7, 0.5, 3), token_mask(9, 7, 0.5, 3))
    assert not torch.equal(token_mask(9, 7, 0.5, 3), token_mask(9, 7, 0.5, 4))


def test_masks_leave_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    token_mask(8, 8, 0.5, 1)
    assert torch.equal(before, torch.get_rng_state())


def test_the_share_is_uniform_up_to_the_highest() -> None:
    rng = random.Random(0)
    drawn = [draw_token_dropout(rng, 0.7) for _ in range(4000)]
    assert 0 <= min(drawn) < 0.01
    assert 0.69 < max(drawn) <= 0.7
    for quarter in range(4):
        inside = sum(quarter * 0.175 <= p < (quarter + 1) * 0.175 for p in drawn)
        assert abs(inside - 1000) < 120
    assert draw_token_dropout(rng, 0.0) == 0
