"""What a training run compares, for both tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from refvid.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """What is compared, see `refvid.training.losses`."""

    pixels: Literal["l1", "detail", "log"] = "l1"
    """Mean absolute error, Charbonnier error of pixels and their differences, or the logarithm of
    each frame's mean square."""

    perceptual: Literal["auto", "lpips", "st-lpips", "gradients", "none"] = "auto"
    """auto takes LPIPS where it can be had, else ST-LPIPS, else multi-scale gradients."""

    perceptual_network: Literal["auto", "alex", "vgg"] = "auto"
    """What LPIPS and ST-LPIPS look with. auto is VGG16 for LPIPS, and AlexNet for ST-LPIPS, which
    costs a fifth."""

    perceptual_share: float = 1.0
    """Share of a batch's frames that is shown to it, one at least; which ones, the batch's seed
    says."""

    perceptual_weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.perceptual_share <= 1:
            raise OptionError(
                f"perceptual_share is more than 0 and at most 1, not {self.perceptual_share:g}."
            )
        if self.perceptual_weight < 0:
            raise OptionError("perceptual_weight is not negative.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleLossConfig:
    """What the task style compares where no stylised picture is known, see
    `refvid.training.style_losses`.
    """

    style: float = 1.0
    """Weight of the distance from the style's texture."""

    strokes: float = 0.5
    """Weight of what is missing from the strokes and colours of the painting."""

    structure: float = 4.0
    """Weight of what is missing from `least_structure`."""

    least_structure: float = 0.58
    """SSIM of the gradient magnitude with the content's; beyond it the style has its way."""

    temporal: float = 2.0
    """Weight of the difference from the frame before, carried along the motion."""

    perceptual: Literal["auto", "lpips", "none"] = "auto"
    """Compare with the painting by LPIPS, too; auto where it can be had."""

    perceptual_weight: float = 0.3

    features: float = 0.0
    """Weight of the distance of VGG16's Gram matrices, which see strokes and large shapes. It needs
    `pip install stlpips-pytorch`, and a step takes several times as long."""

    content: float = 0.2
    """Weight of the distance of its features from the content's, where `features` are asked for."""

    beside_pairs: float = 0.0
    """Weight of all of it beside the error against known stylised pictures."""

    def __post_init__(self) -> None:
        for name in (
            "style",
            "strokes",
            "structure",
            "temporal",
            "perceptual_weight",
            "features",
            "content",
            "beside_pairs",
        ):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} is not negative.")
