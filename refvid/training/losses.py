"""The training losses: error of pixels, and of what the eye looks at."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.errors import CheckpointUnavailable, OptionError
from refvid.metrics.perceptual import NetworkName, load_lpips_network
from refvid.metrics.st_lpips import SMALLEST_SIDE, load_st_lpips_network
from refvid.training.loss_config import LossConfig

logger = logging.getLogger(__name__)

_CHARBONNIER = 1e-2
"""Below this error [1 = half the range of a pixel] the loss turns from absolute to squared."""

_SCALES = 4

_LEAST_SQUARE = 1e-5
"""Errors below this are as good as none: about 56 dB."""

_FRAME_SHARE = 0.1
"""Of a whole frame's error, added to its crop's."""


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """Charbonnier loss on pixels and on their horizontal and vertical differences.

    The differences weigh fine detail, which an error in pixels alone averages away.

    Args:
        output: (..., H, W) in [-1, 1].
        target: Of the same shape.
    """
    error = output - target
    pixels = (error.square() + _CHARBONNIER**2).sqrt().mean() - _CHARBONNIER
    return pixels + 0.5 * _differences(error)


def log_error(output: Tensor, target: Tensor, frame_error: Tensor | None = None) -> Tensor:
    """Mean over frames of the logarithm of the mean square error: what PSNR counts.

    A clean frame's small error weighs as much as a bad one's large error; an absolute error hardly
    notices what happens above 40 dB.

    Args:
        output: (N, 3, H, W) in [-1, 1], crops.
        target: Of the same shape.
        frame_error: (N,) mean square error of the whole frames before. A share of it is added, so
            that a plain crop of a bad frame does not count like a plain frame.
    """
    error = (output - target).square().mean((1, 2, 3)) + _LEAST_SQUARE
    if frame_error is not None:
        error = error + _FRAME_SHARE * frame_error
    return error.log().mean()


def gradient_loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of horizontal and vertical differences at 1, 1/2, 1/4 and 1/8 size.

    It stands for LPIPS where that cannot be had: it has no weights, and as LPIPS it asks for edges
    and texture at the right places rather than for the right brightness.

    Args:
        output: (N, 3, H, W) in [-1, 1].
        target: Of the same shape.
    """
    error = output - target
    total = _differences(error)
    for _ in range(1, _SCALES):
        if min(error.shape[-2:]) < 4:
            break
        error = functional.avg_pool2d(error, 2)
        total = total + _differences(error)
    return total / _SCALES


def _differences(error: Tensor) -> Tensor:
    rows = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    columns = (error[..., 1:] - error[..., :-1]).abs().mean()
    return rows + columns


class TrainingLoss(nn.Module):
    """Error of pixels plus a weighted perceptual part, as configured.

    Args:
        config: What is compared.
        precision: What ST-LPIPS convolves in; sums are single precision in any case.

    Raises:
        OptionError: The perceptual network that is asked for cannot be had.
        CheckpointError: Nor can the weights of ST-LPIPS, though its package is installed.
    """

    def __init__(self, config: LossConfig, precision: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config, self.precision = config, precision
        self.perceptual, self.network = _load_perceptual(config)
        if config.perceptual == "auto":
            logger.info("the perceptual part of the loss is %s", self._describe_perceptual())

    def describe(self) -> str:
        """What is compared, in words."""
        pixels = {
            "l1": "L1",
            "detail": "Charbonnier error of pixels and differences",
            "log": "logarithm of the squared error",
        }
        words = pixels[self.config.pixels]
        if self.perceptual != "none":
            words += f" + {self.config.perceptual_weight:g} {self._describe_perceptual()}"
        if self.perceptual != "none" and self.config.perceptual_share < 1:
            words += f" of {self.config.perceptual_share:.0%} of the frames"
        return words

    def _describe_perceptual(self) -> str:
        networks = {"alex": "AlexNet", "vgg": "VGG16"}
        names = {"lpips": "LPIPS", "st-lpips": "ST-LPIPS", "gradients": "multi-scale gradients"}
        name = names[self.perceptual]
        if self.network is None:
            return name
        return f"{name} ({networks[_network(self.config, self.perceptual)]})"

    def forward(
        self, output: Tensor, target: Tensor, seed: int = 0, frame_error: Tensor | None = None
    ) -> Tensor:
        """Compare clips (B, 3, T, H, W) in [-1, 1].

        Args:
            output: What the network made.
            target: What it should be.
            seed: Of the choice of frames, where the perceptual part sees a share of them.
            frame_error: (B, T) of the whole frames before, see `log_error`.
        """
        output = output.float().transpose(1, 2).flatten(0, 1)
        target = target.transpose(1, 2).flatten(0, 1)
        if self.config.pixels == "detail":
            loss = reconstruction_loss(output, target)
        elif self.config.pixels == "log":
            errors = None if frame_error is None else frame_error.flatten()
            loss = log_error(output, target, errors)
        else:
            loss = functional.l1_loss(output, target)
        if self.perceptual == "none" or not self.config.perceptual_weight:
            return loss
        shown = choose_frames(len(output), self.config.perceptual_share, seed)
        if len(shown) < len(output):
            index = torch.tensor(shown, device=output.device)
            output, target = output[index], target[index]
        return loss + self.config.perceptual_weight * self._perceive(output, target)

    def _perceive(self, output: Tensor, target: Tensor) -> Tensor:
        if self.network is None:
            return gradient_loss(output, target)
        if self.perceptual == "lpips":
            distance: Tensor = self.network(output, target)
            return distance.mean()
        output, target = _large_enough(output), _large_enough(target)
        half = self.precision != torch.float32
        with torch.autocast(output.device.type, self.precision if half else None, enabled=half):
            distance = self.network(output, target)
        return distance.mean()


def choose_frames(count: int, share: float, seed: int) -> list[int]:
    """The places of a share of so many frames, in order: one frame at least, of each equally often.

    Args:
        count: Frames in a batch.
        share: Of them, above 0.
        seed: The same one chooses the same frames.
    """
    chosen = max(1, round(count * share))
    if chosen >= count:
        return list(range(count))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return sorted(order[:chosen].tolist())


def _large_enough(frames: Tensor) -> Tensor:
    """Go on at the right and below with the last pixels, where frames are too small to be seen."""
    height, width = (max(0, SMALLEST_SIDE - side) for side in frames.shape[-2:])
    if not height and not width:
        return frames
    return functional.pad(frames, (0, width, 0, height), mode="replicate")


def _network(config: LossConfig, perceptual: str) -> NetworkName:
    if config.perceptual_network != "auto":
        return config.perceptual_network
    return "vgg" if perceptual == "lpips" else "alex"


def _load_perceptual(config: LossConfig) -> tuple[str, nn.Module | None]:
    """What the perceptual part is, and its frozen network if it has one."""
    lpips = load_lpips(config.perceptual, _network(config, "lpips"))
    if lpips is not None:
        return "lpips", lpips
    if config.perceptual in {"auto", "st-lpips"}:
        try:
            return "st-lpips", load_st_lpips_network(_network(config, "st-lpips"))
        except OptionError as error:
            if config.perceptual == "st-lpips":
                raise
            logger.info("%s", error)
    return "gradients" if config.perceptual == "auto" else config.perceptual, None


def load_lpips(perceptual: str, network_name: NetworkName = "vgg") -> nn.Module | None:
    """The frozen network for `lpips`, and for `auto` where it can be had.

    Raises:
        OptionError: It is asked for and cannot be had.
    """
    if perceptual not in {"auto", "lpips"}:
        return None
    try:
        return load_lpips_network(network_name)
    except (OptionError, CheckpointUnavailable) as error:
        if perceptual == "lpips":
            raise OptionError(str(error)) from error
        logger.info("%s Another loss takes its place.", error)
        return None
