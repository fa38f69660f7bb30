"""Least squares for the linear part of a decoder: what a few seconds teach as well as hours."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_RIDGE = 1e-4
"""Of the mean square of the inputs: keeps what never varies from taking part."""

_LEAST_SQUARE = 1e-3
"""Errors below this, in units of half a pixel's range, are as good as none."""


class LinearFit:
    """Sums up pairs of inputs and outputs of a 3x3 convolution, and fits it to them.

    Args:
        layer: With a kernel of 3x3, a padding of 1 and a bias.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        self.layer = layer
        inputs = 9 * layer.in_channels + 1
        self._square = torch.zeros(inputs, inputs, dtype=torch.float64)
        self._product = torch.zeros(inputs, layer.out_channels, dtype=torch.float64)

    @torch.no_grad()
    def add(self, inputs: Tensor, outputs: Tensor) -> None:
        """Take note of (N, C, h, w) and of what should become of it, (N, D, h, w).

        Samples weigh as the inverse of the layer's own square error so far: what is nearly right
        already must not suffer from what is hopeless. The logarithm of the error asks for the same.
        """
        error = (self.layer(inputs.float()) - outputs.float()).square().mean((1, 2, 3))
        weights = 1 / (error + _LEAST_SQUARE)
        windows = functional.unfold(inputs.float(), 3, padding=1)  # (N, C * 9, h * w)
        windows = torch.cat((windows, torch.ones_like(windows[:, :1])), 1)
        root = weights.sqrt().view(-1, 1, 1)
        rows = (root * windows.transpose(1, 2)).flatten(0, 1).cpu()
        wanted = (root * outputs.float().flatten(2).transpose(1, 2)).flatten(0, 1).cpu()
        self._square += (rows.T @ rows).double()
        self._product += (rows.T @ wanted).double()

    @torch.no_grad()
    def solve(self) -> None:
        """Give the layer the weights with the least square error."""
        ridge = _RIDGE * self._square.diagonal().mean()
        square = self._square + ridge * torch.eye(len(self._square), dtype=torch.float64)
        found = torch.linalg.solve(square, self._product)
        layer = self.layer
        layer.weight.copy_(found[:-1].T.reshape(layer.weight.shape))
        assert layer.bias is not None, "it has one"
        layer.bias.copy_(found[-1])
