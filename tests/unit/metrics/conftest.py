"""Pictures to measure."""

from __future__ import annotations

import pytest
import torch


class TinyLpips(torch.nn.Module):
    """Has the parts of `lpips.LPIPS` that refvid uses, with random weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scaling_layer = torch.nn.Identity()
        self.first = torch.nn.Conv2d(3, 8, 5, stride=2, padding=2)
        self.second = torch.nn.Conv2d(8, 16, 3, stride=2, padding=1)
        # The linear layers of LPIPS have no negative weights.
        linear = [torch.nn.Conv2d(channels, 1, 1, bias=False) for channels in (8, 16)]
        for layer in linear:
            torch.nn.init.uniform_(layer.weight)
        self.lins = torch.nn.ModuleList(linear)

    def net(self, clip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        first = self.first(clip).relu()
        return first, self.second(first).relu()


@pytest.fixture
def tiny_lpips() -> TinyLpips:
    return TinyLpips()
