"""A small random network with every kind of layer, and a counter of live tensor bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

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


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors on a device that operations made and that still exist."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.known: set[int] = set()
        self.peak = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.storages = {key: e for key, e in self.storages.items() if not e[0].expired()}
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.device == self.device:
                storage = tensor.untyped_storage()
                if storage._cdata not in self.known:
                    self.storages[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.peak = max(self.peak, sum(size for _, size in self.storages.values()))
        return result


@pytest.fixture
def count_live_bytes(monkeypatch) -> Any:
    """A context that gives a counter; attention counts as a kernel without a score matrix."""

    @contextmanager
    def count(backbone: WanBackbone) -> Iterator[LiveBytes]:
        with monkeypatch.context() as patch, LiveBytes(backbone.device) as counter:
            patch.setattr(
                torch.nn.functional, "scaled_dot_product_attention", lambda q, k, v: v.clone()
            )
            weights = backbone.model.parameters()
            counter.known |= {weight.untyped_storage()._cdata for weight in weights}
            yield counter

    return count
