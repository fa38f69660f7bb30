"""The attention copies from the places that matching points at."""

import torch

from refvid.models.mini import attention as module
from refvid.models.mini.attention import ReferenceAttention
from refvid.models.mini.config import MiniConfig
from refvid.models.matching import index_reference, match_tokens


def sharp(config: MiniConfig) -> ReferenceAttention:
    torch.manual_seed(0)
    attention = ReferenceAttention(config)
    with torch.no_grad():
        attention.log_temperature.fill_(7.0)
    return attention.requires_grad_(False)


def test_copies_single_pixel_shifts(texture: torch.Tensor, small_config: MiniConfig) -> None:
    """Odd shifts lie between the cells: only a map of every pixel has them."""
    moved = torch.roll(texture, (5, -7), (2, 3))
    attention = sharp(small_config)
    matches = match_tokens(moved, index_reference(texture))
    values = attention(moved, attention.map_reference(texture), matches).values[:, :12]
    copied = torch.nn.functional.pixel_shuffle(values, 2)
    inside = (..., slice(24, 104), slice(24, 168))
    assert (copied - moved)[inside].abs().max() < 0.02
    assert (texture - moved)[inside].abs().mean() > 0.3


def test_both_ways_to_cut_windows_agree(texture: torch.Tensor, small_config: MiniConfig) -> None:
    """Training goes through autograd, inference through overlapping views."""
    torch.manual_seed(0)
    attention = ReferenceAttention(small_config)
    matches = match_tokens(texture, index_reference(texture))
    trained = attention(texture, attention.map_reference(texture), matches)
    with torch.inference_mode():
        inferred = attention(texture, attention.map_reference(texture), matches)
    torch.testing.assert_close(trained.values, inferred.values, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(trained.statistics, inferred.statistics, atol=1e-5, rtol=1e-5)


def test_parts_join_to_the_whole(
    texture: torch.Tensor, small_config: MiniConfig, monkeypatch: object
) -> None:
    attention = sharp(small_config)
    matches = match_tokens(texture, index_reference(texture))
    results = []
    for size in (7, 10_000):
        monkeypatch.setattr(module, "_TOKENS_AT_ONCE", size)  # type: ignore[attr-defined]
        with torch.inference_mode():
            results.append(attention(texture, attention.map_reference(texture), matches).values)
    torch.testing.assert_close(results[0], results[1], atol=1e-6, rtol=0)


def test_brightness_does_not_decide(texture: torch.Tensor, small_config: MiniConfig) -> None:
    attention = sharp(small_config)
    matches = match_tokens(texture, index_reference(texture))
    keys = attention.map_reference(texture)
    plain = attention(texture, keys, matches)
    brighter = attention(texture + 0.2, keys, matches)
    torch.testing.assert_close(plain.values, brighter.values, atol=1e-3, rtol=0)


def test_gradients_reach_everything(texture: torch.Tensor, small_config: MiniConfig) -> None:
    attention = ReferenceAttention(small_config)
    matches = match_tokens(texture, index_reference(texture))
    attended = attention(texture, attention.map_reference(texture), matches)
    (attended.values.square().mean() + attended.statistics.mean()).backward()
    for name, parameter in attention.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
