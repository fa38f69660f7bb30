"""A Wan network as small as can be, and official files for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from refvid.checkpoints.cache import Cache
from refvid.models.wan.autoencoder import WanAutoencoder
from refvid.models.wan.config import WanConfig

TINY = WanConfig(
    base_channels=4,
    transformer_blocks=2,
    heads=2,
    head_channels=20,
    feed_forward_channels=96,
)
"""The sizes of the recorded reduced model."""


@pytest.fixture
def tiny() -> WanConfig:
    return TINY


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture(scope="session")
def official() -> dict[str, torch.Tensor]:
    """Random weights under the official names, in 16 bits."""
    with torch.device("meta"):
        shapes = WanAutoencoder(TINY).state_dict()
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.randn(tensor.shape, generator=generator).half() for key, tensor in shapes.items()
    }
