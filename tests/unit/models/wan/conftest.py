"""A small random network with every kind of layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from refvid.models.wan.autoencoder import WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig

SMALL = WanConfig(
    base_channels=4,
    transformer_blocks=2,
    heads=2,
    head_channels=20,
    feed_forward_channels=24,
)


def random_model(config: WanConfig = SMALL) -> WanAutoencoder:
    """Weights that keep values in a sane range."""
    generator = torch.Generator().manual_seed(3)
    model = WanAutoencoder(config)
    for parameter in model.parameters():
        spread = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
        mean = 1.0 if parameter.numel() == parameter.shape[0] else 0.0
        parameter.data = torch.randn(parameter.shape, generator=generator) * spread + mean
    return model


@pytest.fixture
def small_config() -> WanConfig:
    return SMALL


@pytest.fixture(scope="session")
def model() -> WanAutoencoder:
    return random_model().eval().requires_grad_(False)


@pytest.fixture(scope="session")
def backbone(model: WanAutoencoder) -> WanBackbone:
    return WanBackbone(model, torch.device("cpu"), torch.float32)


@pytest.fixture
def noise() -> Any:
    """Make (1, C, T, H, W) noise of a size."""

    def make(*shape: int, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(1, *shape, generator=generator)

    return make
