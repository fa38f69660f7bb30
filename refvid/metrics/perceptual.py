"""LPIPS: distance of pictures in the features of a network (Zhang et al. 2018).

Computed by the authors' package `lpips` with AlexNet, as the field reports it. It and torchvision
are optional: pip install lpips torchvision. The weights of AlexNet (233 MB) are fetched on first
use into PyTorch's hub cache, which TORCH_HOME moves.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from refvid.errors import CheckpointUnavailable, OptionError
from refvid.metrics.pairs import EmptyMask, Mask, check_mask

NetworkName = Literal["alex", "vgg"]
_NETWORKS = {"alex": "AlexNet", "vgg": "VGG16"}

Features = list[Tensor]
"""Of one picture: (1, C, h, w) per layer, each position of unit length."""


class Lpips:
    """The network of LPIPS or of ST-LPIPS, ready. Made by `load_lpips` and `load_st_lpips`."""

    def __init__(self, network: Any, device: torch.device) -> None:
        """`network` is an `lpips.LPIPS` with its linear layers, or has the same parts."""
        self._network = network.to(device).eval()
        self._device = device

    @torch.inference_mode()
    def features(self, picture: NDArray[Any]) -> Features:
        """Look at a picture once, to compare it with several.

        Args:
            picture: (H, W, 3) RGB, uint8 or uint16 at full scale, at least 32 pixels a side.
        """
        white = np.iinfo(picture.dtype).max
        pixels = torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32))
        clip = pixels.permute(2, 0, 1)[None].to(self._device).div(white / 2).sub(1)
        layers = self._network.net(self._network.scaling_layer(clip))
        # As lpips.normalize_tensor does.
        return [layer / (layer.square().sum(1, keepdim=True).sqrt() + 1e-10) for layer in layers]

    @torch.inference_mode()
    def distance(self, one: Features, other: Features, mask: Mask | None = None) -> float:
        """LPIPS of two pictures: 0 where they look the same to the network.

        Args:
            one: Of a picture.
            other: Of another one of that size.
            mask: (H, W) weights of the pixels, averaged over what a position of a layer covers.
                Positions see a surrounding too, so that what is just outside counts a little.

        Raises:
            EmptyMask: It is.
        """
        total = 0.0
        for first, second, linear in zip(one, other, self._network.lins, strict=True):
            error = linear((first - second).square())
            if mask is None:
                total += float(error.mean())
                continue
            if not mask.any():
                raise EmptyMask("the mask is empty")
            pixels = torch.from_numpy(np.ascontiguousarray(mask, dtype=np.float32))
            weights = functional.adaptive_avg_pool2d(
                pixels[None, None].to(self._device), (error.shape[2], error.shape[3])
            )
            total += float((error * weights).sum() / weights.sum())
        return total


def load_lpips(device: torch.device) -> Lpips:
    """Make LPIPS with AlexNet ready; see `load_lpips_network` for what is raised."""
    return Lpips(load_lpips_network("alex"), device)


def load_lpips_network(name: NetworkName) -> nn.Module:
    """The network alone, frozen, on the processor; fetches its weights on first use.

    Raises:
        OptionError: The packages are not installed, or do not fit together.
        CheckpointUnavailable: The weights are not here and cannot be fetched.
    """
    with warnings.catch_warnings():
        # lpips calls torchvision and PyTorch in ways that were in fashion in 2021.
        warnings.simplefilter("ignore")
        try:
            import lpips  # noqa: PLC0415 -- optional
        # A torchvision made for another torch fails with RuntimeError.
        except (ImportError, RuntimeError) as error:
            raise OptionError(
                f"LPIPS cannot be loaded: {error}. Run: pip install lpips torchvision"
            ) from error
        try:
            network: nn.Module = lpips.LPIPS(net=name, verbose=False)
        # No connection, no room, or not the file that was expected.
        except (OSError, RuntimeError) as error:
            raise CheckpointUnavailable(
                f"The weights of LPIPS ({_NETWORKS[name]}, from download.pytorch.org) cannot be "
                f"had: {error}. Connect once, or put the file into {torch.hub.get_dir()}"
                "/checkpoints."
            ) from error
    return network.eval().requires_grad_(False)


def lpips_distance(
    network: Lpips, picture: NDArray[Any], reference: NDArray[Any], mask: Mask | None = None
) -> float:
    """LPIPS, or ST-LPIPS, of a picture and what it should be.

    Args:
        network: From `load_lpips` or `load_st_lpips`.
        picture: (H, W, 3) RGB, uint8 or uint16 at full scale, at least as large as its measure in
            `refvid.metrics.catalog` needs.
        reference: Of the same size.
        mask: (H, W) weights of the pixels.

    Raises:
        ValueError: Sizes differ; `EmptyMask`: the mask has no weight.
    """
    if picture.shape != reference.shape:
        raise ValueError(f"pictures differ: {picture.shape}, {reference.shape}")
    if mask is not None:
        check_mask(mask, picture.shape)
    return network.distance(network.features(picture), network.features(reference), mask)
