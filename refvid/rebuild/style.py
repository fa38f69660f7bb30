"""Fit style images and painted keyframes to the clip, and make them ready for the style model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from refvid.models.backbone import Keyframe, StyleBackbone
from refvid.rebuild.pixels import Pixels, frames_to_clip, pad_clip

_MULTIPLE = 8
_SMALLEST_SIDE = 32
_MOST_AREA = 4.0
"""Of a style image, in areas of the frame: its features cost memory as the frame's do."""


def style_size(
    style: tuple[int, int], frame: tuple[int, int], scale: float = 1.0
) -> tuple[int, int]:
    """Size in which the model sees a style image: strokes grow with it, and nothing is cut off.

    The area is the frame's times the scale squared, but at most four times the frame's.

    Args:
        style: Width and height of the image [pixels].
        frame: Width and height of the clip [pixels].
        scale: As a multiple of the frame's size.

    Returns:
        Width and height, multiples of 8 and at least 32, of nearly the image's proportions.
    """
    area = frame[0] * frame[1] * min(scale**2, _MOST_AREA)
    factor = math.sqrt(area / (style[0] * style[1]))
    width, height = (
        max(round(side * factor / _MULTIPLE) * _MULTIPLE, _SMALLEST_SIDE) for side in style
    )
    return width, height


def largest_scale() -> float:
    """The scale above which a style image grows no more."""
    return math.sqrt(_MOST_AREA)


@torch.inference_mode()
def prepare_styles(
    backbone: StyleBackbone,
    styles: Sequence[tuple[Pixels, float]],
    keyframes: Sequence[tuple[Pixels, Pixels]],
    device: torch.device,
    structure: float = 0.5,
) -> Any:
    """Embed styles and keyframes, once per video.

    Args:
        backbone: The style model.
        styles: Images (h, w, 3) uint8 or uint16, sides multiples of 8, with their weights.
        keyframes: Painted frame and the clip's own frame, (H, W, 3) of the clip's size; padded as
            the clip is.
        device: Where the backbone computes.
        structure: How much of the frame stays, from 0 to 1.

    Returns:
        What `StyleBackbone.decode` takes as `reference`.
    """

    def padded(pixels: Pixels) -> torch.Tensor:
        return pad_clip(frames_to_clip([pixels], device), backbone.limits)[:, :, 0]

    return backbone.prepare_styles(
        [(frames_to_clip([image], device)[:, :, 0], weight) for image, weight in styles],
        [Keyframe(painted=padded(painted), frame=padded(frame)) for painted, frame in keyframes],
        structure,
    )
