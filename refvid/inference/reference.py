"""Fit the reference to the clip."""

from __future__ import annotations

from typing import Any

import torch

from refvid.inference.pixels import Pixels, frames_to_clip, pad_clip
from refvid.models.backbone import Backbone


@torch.inference_mode()
def prepare_reference(backbone: Backbone, reference: Pixels, device: torch.device) -> Any:
    """Embed a reference, once per video.

    Args:
        backbone: The model.
        reference: (H, W, 3) uint8 or uint16 of the clip's size; padded as the clip is.
        device: Where the backbone computes.

    Returns:
        What `Backbone.decode` takes as `reference`.
    """
    clip = pad_clip(frames_to_clip([reference], device), backbone.limits)
    return backbone.prepare_reference(clip[:, :, 0])
