"""Small pictures, a small random network, and a counter of live tensor bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder

SMALL = MiniConfig(width=8, wide=8, depths=(1, 1, 1), condition_width=8, kernels=2)


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
    def count(backbone: Any) -> Iterator[LiveBytes]:
        with monkeypatch.context() as patch, LiveBytes(backbone.device) as counter:
            patch.setattr(
                torch.nn.functional, "scaled_dot_product_attention", lambda q, k, v: v.clone()
            )
            weights = backbone.model.parameters()
            counter.known |= {weight.untyped_storage()._cdata for weight in weights}
            yield counter

    return count
