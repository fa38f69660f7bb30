"""Small pictures and a small random network."""

import pytest
import torch
from torch.nn import functional

from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder

SMALL = MiniConfig(
    descriptor_width=8,
    context_channels=4,
    widths=(8, 8, 8),
    depths=(1, 1, 1, 1, 1),
)


@pytest.fixture
def noise_frames() -> torch.Tensor:
    """(2, 3, 64, 96) uniform noise in [-1, 1]."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, 64, 96, generator=generator) * 2 - 1


@pytest.fixture
def texture() -> torch.Tensor:
    """(1, 3, 128, 192) in about [-1, 1], smooth enough to be found again after half a pixel."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(1, 3, 132, 196, generator=generator) * 2 - 1
    return functional.avg_pool2d(noise, 5, stride=1) * 2.5


@pytest.fixture
def small_config() -> MiniConfig:
    return SMALL


@pytest.fixture
def small_decoder(small_config: MiniConfig) -> MiniDecoder:
    """Random weights everywhere, also where training starts from zero."""
    torch.manual_seed(2)
    decoder = MiniDecoder(small_config)
    for module in decoder.modules():
        if isinstance(module, torch.nn.Conv2d) and not module.weight.any():
            torch.nn.init.normal_(module.weight, std=0.05)
    return decoder.eval().requires_grad_(False)
