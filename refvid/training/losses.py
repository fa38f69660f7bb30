"""The training losses: error of pixels, and of what the eye looks at."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from refvid.errors import OptionError
from refvid.training.config import LossConfig

log = logging.getLogger(__name__)

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

    Raises:
        OptionError: LPIPS is asked for and cannot be had.
    """

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.config = config
        self.lpips: Any = load_lpips(config.perceptual)
        self.perceptual = config.perceptual
        if config.perceptual == "auto":
            self.perceptual = "gradients" if self.lpips is None else "lpips"

    def describe(self) -> str:
        """What is compared, in words."""
        pixels = {
            "l1": "L1",
            "detail": "Charbonnier error of pixels and differences",
            "log": "logarithm of the squared error",
        }
        perceptual = {
            "lpips": f" + {self.config.perceptual_weight:g} LPIPS",
            "gradients": f" + {self.config.perceptual_weight:g} multi-scale gradients",
        }
        return pixels[self.config.pixels] + perceptual.get(self.perceptual, "")

    def forward(self, output: Tensor, target: Tensor, frame_error: Tensor | None = None) -> Tensor:
        """Compare clips (B, 3, T, H, W) in [-1, 1]; see `log_error` for `frame_error` (B, T)."""
        output = output.float().transpose(1, 2).flatten(0, 1)
        target = target.transpose(1, 2).flatten(0, 1)
        if self.config.pixels == "detail":
            loss = reconstruction_loss(output, target)
        elif self.config.pixels == "log":
            errors = None if frame_error is None else frame_error.flatten()
            loss = log_error(output, target, errors)
        else:
            loss = functional.l1_loss(output, target)
        if self.perceptual == "lpips":
            loss = loss + self.config.perceptual_weight * self.lpips(output, target).mean()
        elif self.perceptual == "gradients":
            loss = loss + self.config.perceptual_weight * gradient_loss(output, target)
        return loss


def load_lpips(perceptual: str) -> nn.Module | None:
    """The frozen network for `lpips`, and for `auto` where it can be had.

    Raises:
        OptionError: It is asked for and cannot be had.
    """
    if perceptual not in {"auto", "lpips"}:
        return None
    try:
        with warnings.catch_warnings():
            # lpips calls torchvision in ways that were in fashion in 2021.
            warnings.simplefilter("ignore")
            import lpips  # noqa: PLC0415 -- an extra

            network: nn.Module = lpips.LPIPS(net="vgg", verbose=False)
    # OSError: the weights of VGG are fetched on first use, and cannot be.
    except (ImportError, OSError, RuntimeError) as error:
        problem = f"LPIPS cannot be had ({error}); pip install 'refvid[metrics]' brings the package"
        if perceptual == "lpips":
            raise OptionError(f"{problem}.") from error
        log.info("%s. A loss without a network takes its place", problem)
        return None
    return network.eval().requires_grad_(False)
