"""The palette of a style: mean and covariance of its colours, and what gives them to frames.

The linear map between two colour distributions that moves colours least (Monge-Kantorovich; Pitie
and Kokaram, "The linear Monge-Kantorovitch linear colour mapping for example-based colour
transfer", 2007). It is fixed for a shot but for a slow drift, so it cannot flicker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_SMALLEST_VARIANCE = 3e-3
"""Of both distributions: a picture of nearly one colour is not stretched over the whole palette."""

_GREATEST_GAIN = 2.5
"""Differences of colour grow by at most this: what is rare in a video must stay in the gamut."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and covariance of a picture's colours in [-1, 1].

    Both lie in main memory: they are twelve numbers, of which not every graphics card can find
    eigenvectors, and a card that could would be waited for.
    """

    mean: Tensor
    """(3,)"""

    covariance: Tensor
    """(3, 3)"""

    def mixed(self, other: Moments, share: float) -> Moments:
        """Moments of `1 - share` parts of this picture and `share` parts of the other."""
        mean = torch.lerp(self.mean, other.mean, share)
        spread = torch.lerp(self._second(), other._second(), share)
        return Moments(mean, spread - torch.outer(mean, mean))

    def _second(self) -> Tensor:
        return self.covariance + torch.outer(self.mean, self.mean)


def measure_moments(picture: Tensor) -> Moments:
    """Moments of a picture (3, H, W) in [-1, 1]."""
    colours = picture.float().flatten(1)
    mean = colours.mean(1)
    centred = colours - mean[:, None]
    numbers = torch.cat((mean[None], centred @ centred.T / colours.shape[1])).cpu()
    return Moments(numbers[0], numbers[1:])


def mix_moments(parts: Sequence[tuple[Moments, float]]) -> Moments:
    """Moments of several pictures together; weights are positive, only their ratios count."""
    mixed, total = parts[0]
    for moments, weight in parts[1:]:
        total += weight
        mixed = mixed.mixed(moments, weight / total)
    return mixed


def recolour(frame: Tensor, source: Moments, target: Moments) -> Tensor:
    """Move the colours of a frame (3, H, W) in [-1, 1] from one distribution to another."""
    matrix, mean, wanted = (
        numbers.to(frame.device)
        for numbers in (
            _transport(source.covariance, target.covariance),
            source.mean[:, None],
            target.mean[:, None],
        )
    )
    moved = matrix @ (frame.flatten(1) - mean) + wanted
    return moved.clamp_(-1, 1).view_as(frame)


def _transport(source: Tensor, target: Tensor) -> Tensor:
    """The symmetric matrix A with A S A = T."""
    floor = _SMALLEST_VARIANCE * torch.eye(3, device=source.device)
    root = _power(source + floor, 0.5)
    inverse = _power(source + floor, -0.5)
    matrix = inverse @ _power(root @ (target + floor) @ root, 0.5) @ inverse
    values, vectors = torch.linalg.eigh(matrix)
    limited: Tensor = vectors @ torch.diag(values.clamp(max=_GREATEST_GAIN)) @ vectors.T
    return limited


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    powered: Tensor = vectors @ torch.diag(values.clamp_min(1e-9) ** exponent) @ vectors.T
    return powered
