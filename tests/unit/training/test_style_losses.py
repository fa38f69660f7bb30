"""The unpaired losses see what they say they see."""

from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from refvid.training import style_losses
from refvid.training.loss_config import StyleLossConfig
from refvid.training.style_losses import (
    StyleLoss,
    features_distance,
    stroke_error,
    structure_likeness,
    texture_distance,
    unsteadiness,
)


def noise(seed: int, smooth: int = 1, count: int = 2, size: int = 64) -> Tensor:
    """(count, 3, size, size)."""
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(count, 3, size + smooth - 1, size + smooth - 1, generator=generator)
    return functional.avg_pool2d(raw, smooth, stride=1) * 0.3 * smooth**0.5


@torch.no_grad()
def test_texture_is_told_from_another_of_the_same_colours() -> None:
    style = noise(1, 3, size=128)
    same = texture_distance(noise(0, 3, size=128), style)
    other = texture_distance(noise(0, 1, size=128), style)
    assert same < 0.12
    assert other > 2.5 * same


@torch.no_grad()
def test_texture_does_not_depend_on_places() -> None:
    style = noise(2, 3, size=128)
    assert texture_distance(torch.roll(style, (13, 29), (2, 3)), style) < 0.12


@torch.no_grad()
def test_measuring_gives_the_same_number_twice() -> None:
    assert texture_distance(noise(3), noise(4)) == texture_distance(noise(3), noise(4))


def test_learning_draws_other_directions_every_time() -> None:
    output = noise(3).requires_grad_()
    torch.manual_seed(0)
    first, second = (texture_distance(output, noise(4)) for _ in range(2))
    assert first != second


def test_strokes_may_be_joined_by_other_detail_but_not_be_missing() -> None:
    painted, edges = noise(5), noise(6)
    assert stroke_error(painted, painted) < 0.06
    assert stroke_error(painted + edges - edges.mean(), painted) < 0.25
    faint = stroke_error(painted * 0.5, painted)
    assert faint > 0.4
    assert stroke_error(edges, painted) > faint


def test_structure_is_one_for_itself_and_sinks_with_strokes() -> None:
    content = noise(7, 5)
    torch.testing.assert_close(structure_likeness(content, content), torch.ones(2))
    light, strong = (structure_likeness(content + k * noise(8), content) for k in (0.1, 0.5))
    assert (light > strong).all()
    # Colours play no part, only light.
    turned = content.clone()
    turned[:, 0] += 0.3
    likeness = structure_likeness(turned, content)
    torch.testing.assert_close(likeness, torch.ones(2), atol=1e-3, rtol=0)


def test_what_moves_with_the_content_is_steady() -> None:
    wide = noise(9, 5, count=1, size=96)[0]
    paint = noise(10, 2, count=1, size=96)[0]
    windows = [slice(t * 4, t * 4 + 64) for t in range(3)]
    content = torch.stack([wide[:, :64, w] for w in windows], 1)[None]
    along = torch.stack([paint[:, :64, w] for w in windows], 1)[None]
    standing = paint[:, :64, :64][:, None].expand(-1, 3, -1, -1)[None]
    assert unsteadiness(along, content) < 0.3 * unsteadiness(standing, content)
    assert unsteadiness(content, content) == 0


def test_the_loss_is_their_weighted_sum_and_learns() -> None:
    content, painted = (noise(seed, 3, count=2)[None].transpose(1, 2) for seed in (11, 12))
    style = noise(13, 2, count=1)
    output = content.clone().requires_grad_()
    config = StyleLossConfig()
    loss = StyleLoss(config)(output, content, style, painted)
    loss.backward()
    assert output.grad is not None
    assert output.grad.abs().sum() > 0
    nothing = StyleLossConfig(style=0, strokes=0, structure=0, temporal=0)
    assert StyleLoss(nothing)(output, content, style, painted) == 0


def test_lpips_counts_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Likeness(torch.nn.Module):
        def forward(self, output: Tensor, painted: Tensor) -> Tensor:
            return (output - painted).abs().mean((1, 2, 3)) + 1

    monkeypatch.setattr(style_losses, "load_lpips", lambda _perceptual: Likeness())
    loss = StyleLoss(
        StyleLossConfig(style=0, strokes=0, structure=0, temporal=0, perceptual_weight=0.5)
    )
    clip = noise(16)[None].transpose(1, 2)
    torch.testing.assert_close(loss(clip, clip, noise(17, count=1), clip), torch.tensor(0.5))
    assert "LPIPS" in loss.describe()


@pytest.mark.parametrize("size", [(8, 8), (16, 40)])
def test_small_pictures_are_measured_as_far_as_they_go(size: tuple[int, int]) -> None:
    picture = noise(14)[..., : size[0], : size[1]]
    assert torch.isfinite(texture_distance(picture, noise(15)))


@pytest.mark.skipif(find_spec("stlpips_pytorch") is None, reason="needs stlpips-pytorch")
def test_features_of_vgg_lead_to_the_style() -> None:
    from refvid.metrics.st_lpips import load_st_lpips_network

    network = load_st_lpips_network("vgg").requires_grad_(False)
    style, content = noise(5, 3), noise(7, 9) * 2
    output = noise(6).requires_grad_()
    before = sum(features_distance(network, output, style, content))
    before.backward()
    there = (output - 0.02 * output.grad.sign()).detach()
    assert 0 < sum(features_distance(network, there, style, content)) < before
    apart, _ = features_distance(network, style, style, content)
    assert apart < 1e-6
    _, lost = features_distance(network, content, style, content)
    _, others = features_distance(network, noise(8, 9) * 2, style, content)
    assert lost < 1e-6 < others


@pytest.mark.skipif(find_spec("stlpips_pytorch") is None, reason="needs stlpips-pytorch")
def test_pictures_too_small_for_vgg_cost_nothing() -> None:
    from refvid.metrics.st_lpips import load_st_lpips_network

    network = load_st_lpips_network("vgg").requires_grad_(False)
    apart, lost = features_distance(
        network, noise(6, size=24), noise(5, size=24), noise(7, size=24)
    )
    assert apart == lost == 0
