"""Shift-tolerant LPIPS: LPIPS in networks that a shift by a pixel hardly moves.

Ghildyal and Liu, "Shift-tolerant perceptual similarity metric", ECCV 2022 (arXiv:2207.13686). Its
figures are not those of LPIPS. The package `stlpips-pytorch` brings trained weights of AlexNet and
of VGG16, so that nothing is fetched; only its files are used, for its modules import packages that
it does not ask for. The networks here are written anew, and give the same numbers.

Wherever a plain network strides, these blur first (`_Blur`): every other of the pixels averaged
with 1 2 1, at borders that are mirrored over two pixels.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.errors import CheckpointMismatch, CheckpointUnavailable, OptionError
from refvid.metrics.perceptual import Lpips, NetworkName

PACKAGE: Final = "stlpips_pytorch"
"""As it is imported; on PyPI it is called stlpips-pytorch."""

SMALLEST_SIDE: Final = 21
"""Least width and height of a picture [pixels]: below it, there is nothing left to mirror."""

_FAINT = 1e-12
"""Added to squared lengths: where all features are 0, a root has no gradient."""


class StLpipsNetwork(nn.Module):
    """Five feature maps of a picture, and the distance of two pictures in them.

    It never learns, but lets gradients through to the pictures. It has the parts that `Lpips` asks
    for. Names of modules are those of the weight files.
    """

    def __init__(self, name: NetworkName) -> None:
        super().__init__()
        self.scaling_layer = _Scale()
        self.net = _Features(*(_alexnet() if name == "alex" else _vgg16()))
        widths = (64, 192, 384, 256, 256) if name == "alex" else (64, 128, 256, 512, 512)
        for number, channels in enumerate(widths):
            self.add_module(f"lin{number}", _Linear(channels))
        self.requires_grad_(False).eval()

    @property
    def lins(self) -> list[nn.Module]:
        """What weighs the channels of each map."""
        return [self.get_submodule(f"lin{number}") for number in range(5)]

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Look at pictures: what the layers see, from edges to parts of things.

        Args:
            pictures: (N, 3, H, W) in [-1, 1], at least 21 pixels a side.

        Returns:
            Five maps (N, C, h, w), not negative. AlexNet: 64, 192, 384, 256 and 256 channels at
            about 1/2, 1/4 and thrice 1/8 of the size. VGG16 (relu1_2, 2_2, 3_3, 4_3 and 5_3): 64,
            128, 256, 512 and 512 channels at 1/1 to about 1/16.

        Raises:
            ValueError: The pictures are too small.
        """
        maps: list[Tensor] = self.net(self.scaling_layer(pictures))
        return maps

    def forward(self, pictures: Tensor, references: Tensor) -> Tensor:
        """Compare pictures (N, 3, H, W) in [-1, 1] with what they should be: distances (N,)."""
        total = pictures.new_zeros(len(pictures), dtype=torch.float32)
        for one, other, linear in zip(
            self.features(pictures), self.features(references), self.lins, strict=True
        ):
            # Sums in single precision, whatever the convolutions compute in.
            with torch.autocast(pictures.device.type, enabled=False):
                error = (_unit(one) - _unit(other)).square()
                total = total + linear(error).mean((1, 2, 3))
        return total


def load_st_lpips(device: torch.device, network: NetworkName = "alex") -> Lpips:
    """Make shift-tolerant LPIPS ready; see `load_st_lpips_network` for what is raised."""
    return Lpips(load_st_lpips_network(network), device)


def load_st_lpips_network(name: NetworkName = "alex") -> StLpipsNetwork:
    """The network alone, frozen, on the processor.

    Raises:
        OptionError: The package with the weights is not installed.
        CheckpointUnavailable: Its file of weights is missing or damaged.
        CheckpointMismatch: It holds another network.
    """
    # Looked up, not imported.
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise OptionError(
            "ST-LPIPS needs the weights of a package that is not installed here. "
            "Run: pip install stlpips-pytorch"
        )
    folder = Path(spec.submodule_search_locations[0])
    path = folder / "weights" / "vST0.0" / f"{name}_shift_tolerant.pth"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointUnavailable(
            f"The weights of ST-LPIPS cannot be read from {path}: {error}. "
            "Run: pip install --force-reinstall stlpips-pytorch"
        ) from error
    network = StLpipsNetwork(name)
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        raise CheckpointMismatch(
            f"{path} holds another network than ST-LPIPS ({name}): {error}. "
            "Version 0.0.2 of stlpips-pytorch fits."
        ) from error
    return network


class _Features(nn.Module):
    """Slices of a network, each going on where the one before ended."""

    def __init__(self, *slices: nn.Module) -> None:
        super().__init__()
        for number, part in enumerate(slices, 1):
            self.add_module(f"slice{number}", part)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        if min(pictures.shape[-2:]) < SMALLEST_SIDE:
            raise ValueError(
                f"pictures of at least {SMALLEST_SIDE} pixels a side, not "
                f"{pictures.shape[-1]}x{pictures.shape[-2]}"
            )
        # Processors convolve twice as fast in this order.
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        maps = []
        for part in self.children():
            pictures = part(pictures)
            maps.append(pictures)
        return maps


def _alexnet() -> list[nn.Module]:
    """The first convolution goes pixel by pixel and is blurred twice, before ReLU and after."""
    return [
        _BlurredConvolution(3, 64, 11, padding=2),
        _slice(3, nn.MaxPool2d(3, 1), _Blur(64), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
        _slice(7, nn.MaxPool2d(3, 1), _Blur(192), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        _slice(11, nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        _slice(13, nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    ]


def _vgg16() -> list[nn.Module]:
    slices: list[nn.Module] = []
    count, before = 0, 3
    for convolutions, channels in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        layers: list[nn.Module] = [nn.MaxPool2d(2, 1), _Blur(before)] if slices else []
        for _ in range(convolutions):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
            before = channels
        slices.append(_slice(count, *layers))
        count += len(layers)
    return slices


def _slice(first: int, *layers: nn.Module) -> nn.Sequential:
    """Layers, numbered on from `first` as in the whole network."""
    return nn.Sequential(OrderedDict((str(n), layer) for n, layer in enumerate(layers, first)))


class _Blur(nn.Module):
    """Halve a map: blur with 1 2 1 both ways, and take every other pixel."""

    filt: Tensor
    """(C, 1, 3, 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor((0.25, 0.5, 0.25))
        self.register_buffer("filt", torch.outer(taps, taps).repeat(channels, 1, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        mirrored = functional.pad(features, (2, 2, 2, 2), mode="reflect")
        return functional.conv2d(mirrored, self.filt, stride=2, groups=len(self.filt))


class _BlurredConvolution(nn.Module):
    """A convolution, a `_Blur` and ReLU.

    The first two are linear, so they are computed as one convolution with a larger kernel at every
    other pixel: a quarter of the places, and no map of the full size.
    """

    def __init__(self, channels: int, features: int, kernel: int, padding: int) -> None:
        super().__init__()
        self.padding = padding
        self.add_module("0", nn.Conv2d(channels, features, kernel))
        self.add_module("1", _Blur(features))

    def forward(self, pictures: Tensor) -> Tensor:
        weight, bias = self.get_parameter("0.weight"), self.get_parameter("0.bias")
        taps = self.get_buffer("1.filt")[0, 0].sum(0)
        # A window over the first mirrored pixels sees what the next window sees. One over the last
        # ones does, too, where the map's size is odd; where it is even, it sees the last two.
        last = torch.stack((taps[0] + taps[2], taps[1]))
        kernel = weight.shape[-1]
        height, width = (side + 2 * self.padding - kernel + 1 for side in pictures.shape[-2:])
        odd = (height % 2, width % 2)
        pad = self.padding
        padded = functional.pad(pictures, (pad, pad + odd[1], pad, pad + odd[0]))
        whole = _fuse(weight, taps, taps)
        result = _every_other(padded, whole, bias)
        edge = kernel + 1
        if not odd[1]:
            strip = _fuse(weight, taps, last)
            right = functional.conv2d(padded[..., -edge:], strip, bias, stride=(2, 1))
            result = torch.cat((result, right), 3)
        if not odd[0]:
            strip = _fuse(weight, last, taps)
            bottom = functional.conv2d(padded[..., -edge:, :], strip, bias, stride=(1, 2))
            if not odd[1]:
                corner = _fuse(weight, last, last)
                square = functional.conv2d(padded[..., -edge:, -edge:], corner, bias)
                bottom = torch.cat((bottom, square), 3)
            result = torch.cat((result, bottom), 2)
        return functional.pad(result.relu(), (1, odd[1], 1, odd[0]), mode="replicate")


def _fuse(weight: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The kernels (F, C, k, k) that first convolve and then blur."""
    with torch.autocast(weight.device.type, enabled=False):
        planes = weight.flatten(0, 1)[:, None]
        blur = torch.outer(rows, columns)[None, None]
        # The blur is symmetric or two taps long; a convolution would turn it over.
        fused = functional.conv2d(
            planes, blur.flip(2, 3), padding=(len(rows) - 1, len(columns) - 1)
        )
    return fused.view(*weight.shape[:2], *fused.shape[2:])


def _every_other(padded: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A convolution of stride 2 with an odd kernel, as one of stride 1 on squares of four pixels.

    Processors handle a stride badly, and few channels.
    """
    weight = functional.pad(weight, (0, 1, 0, 1))
    return functional.conv2d(
        functional.pixel_unshuffle(padded, 2), functional.pixel_unshuffle(weight, 2), bias
    )


class _Scale(nn.Module):
    """From [-1, 1] to about the mean and deviation of photographs."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor((-0.030, -0.088, -0.188)).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor((0.458, 0.448, 0.450)).view(1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        return (pictures - self.shift) / self.scale


class _Linear(nn.Module):
    """Weigh the channels: (N, C, h, w) -> (N, 1, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # In training there was dropout first, which must not come back with `train()`.
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, errors: Tensor) -> Tensor:
        weighed: Tensor = self.model(errors)
        return weighed


def _unit(features: Tensor) -> Tensor:
    """Bring every position to unit length."""
    features = features.float()
    return features * (features.square().sum(1, keepdim=True) + _FAINT).rsqrt()
