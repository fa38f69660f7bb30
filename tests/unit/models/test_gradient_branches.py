"""Training and inference run different lines where memory is saved: they give equal numbers.

One case for each place that asks `torch.is_grad_enabled()`; that none is missing is a test, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import refvid.models
from refvid.models import reference_attention as joint
from refvid.models.videovaeplus import autoencoder as vae_plus
from refvid.models.videovaeplus import blocks as plus
from refvid.models.videovaeplus.config import VideoVaePlusConfig
from refvid.models.wan import autoencoder as wan
from refvid.models.wan import blocks as causal
from refvid.models.wan.config import WanConfig

CLIP = (2, 3, 4, 6, 8)  # (B, T, H, W, C)
ROTATION = joint.rotary_table(joint.TokenGrid(2, 2, 3), 12, torch.device("cpu"))


def wan_body() -> Callable[[Tensor], Tensor]:
    config = WanConfig(
        base_channels=4, transformer_blocks=1, heads=2, head_channels=12, feed_forward_channels=16
    )
    model = wan.WanAutoencoder(config)
    reference = torch.randn(1, 1, 2, 3, 16)
    return lambda x: model.ae.decoder.body(x, reference, model.transformer, {}, 2)


def plus_body() -> Callable[[Tensor], Tensor]:
    config = VideoVaePlusConfig(
        base_channels=8,
        norm_groups=4,
        temporal_channels=8,
        transformer_blocks=1,
        heads=2,
        head_channels=12,
        feed_forward_channels=16,
    )
    model = vae_plus.VideoVaePlusAutoencoder(config)
    reference = torch.randn(1, 1, 8, 12, 32)
    return lambda x: model.decoder.body(x, reference, model.transformer)


CASES: dict[str, tuple[Callable[[], Callable[..., Tensor]], tuple[int, ...], tuple[Any, ...]]] = {
    "norm of heads": (lambda: joint.HeadsNorm(24), (2, 12, 24), ()),
    "rotation": (lambda: joint.rotate, (2, 12, 2, 12), (ROTATION,)),
    "transformer block": (lambda: joint.TransformerBlock(2, 12, 16), (2, 12, 24), (ROTATION,)),
    "channel norm": (lambda: causal.ChannelNorm(8), CLIP, ()),
    "causal convolution": (lambda: causal.CausalConv3d(8, 5), CLIP, ({}, causal.ChannelNorm(8))),
    "wan decoder": (wan_body, (1, 3, 2, 3, 16), ()),
    "group norm": (lambda: plus.GroupNorm(4, 8), CLIP, ()),
    "convolution of frames": (lambda: plus.FrameConv(8, 5), CLIP, (plus.GroupNorm(4, 8),)),
    "convolution in time": (lambda: plus.TimeConv(4, 8), CLIP, ()),
    "convolution in time, one frame": (lambda: plus.TimeConv(4, 8), (2, 1, 4, 6, 8), ()),
    "sum": (lambda: plus.FrameAttention(4, 8), CLIP, ()),
    "videovae+ decoder": (plus_body, (1, 4, 2, 3, 32), ()),
}


def both_ways(case: str) -> tuple[Tensor, Tensor]:
    """What a case gives where gradients are needed, and where they are not."""
    make, shape, arguments = CASES[case]
    torch.manual_seed(0)
    layer = make()
    if isinstance(layer, nn.Module):
        for parameter in layer.parameters():
            nn.init.normal_(parameter, mean=0.1, std=0.3)
    x = torch.randn(shape)
    trained = layer(x.clone(), *arguments)
    for argument in arguments:
        if isinstance(argument, dict):
            argument.clear()  # what a shot left for its next frames
    with torch.inference_mode():
        return trained, layer(x.clone(), *arguments)


@pytest.mark.parametrize("case", CASES)
def test_training_and_inference_give_equal_numbers(case: str) -> None:
    trained, inferred = both_ways(case)
    assert not inferred.requires_grad
    torch.testing.assert_close(trained, inferred, atol=2e-5, rtol=1e-4)


def test_every_place_that_asks_has_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(*refvid.models.__path__)
    places = {
        (str(path), number)
        for path in folder.rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "is_grad_enabled()" in line
    }
    went: set[tuple[str, int, bool]] = set()
    is_grad_enabled = torch.is_grad_enabled

    def ask() -> bool:
        caller, answer = sys._getframe(1), is_grad_enabled()
        went.add((caller.f_code.co_filename, caller.f_lineno, answer))
        return answer

    monkeypatch.setattr(torch, "is_grad_enabled", ask)
    for case in CASES:
        both_ways(case)
    assert places
    assert {(*place, answer) for place in places for answer in (True, False)} <= went
