"""What one training step is given."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PaintedClip:
    """What is known of a clip in a style without a network: it learns nothing, so it is computed
    when a batch is drawn.
    """

    recoloured: Tensor
    """(B, 3, T, H, W) in [-1, 1]: the clip in the style's colours."""

    painted: Tensor
    """(B, 3, T, H, W) in [-1, 1]: the clip laid out with pieces of the style."""

    statistics: Tensor
    """(B, T, S)."""

    def to(self, device: torch.device) -> PaintedClip:
        """Move every tensor."""
        return PaintedClip(
            self.recoloured.to(device), self.painted.to(device), self.statistics.to(device)
        )


@dataclass(frozen=True, slots=True)
class AlignedReference:
    """A reference brought to each frame when the batch was drawn: that learns nothing."""

    pixels: Tensor
    """(B, 3, T, H, W) in [-1, 1]."""

    trust: Tensor
    """(B, 3, T, H/4, W/4), see `refvid.models.mini.alignment.Found`."""

    def to(self, device: torch.device) -> AlignedReference:
        """Move every tensor."""
        return AlignedReference(self.pixels.to(device), self.trust.to(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """B clips of T frames; pixels in [-1, 1]. Either `clip` or `latents` is what gets decoded."""

    clip: Tensor | None = None
    """(B, 3, T, H, W): degraded, or clean where only the codec loses detail."""

    latents: Tensor | None = None
    """(B, C, t, h, w) raw, of a diffusion model."""

    target: Tensor
    """(B, 3, T, H, W), or (B, 3, 1, H, W) where `supervised` names the one frame. Of the task
    style, the known stylised frames, or the clip itself where none are known."""

    reference: Tensor | None
    """(B, 3, H', W'), at least as large as the frames; of the task style, the style image, of any
    size."""

    origin: Tensor
    """(B, 2) where the frames' corner lies in the reference [pixels]."""

    aligned: AlignedReference | None = None
    """Of a backbone whose alignment does not learn: what `reference` gives to each frame."""

    condition: Tensor | None = None
    """(B, T, C) what a decoder is told of the whole frames that the crops are from; None: the
    crops are all there is."""

    frame_error: Tensor | None = None
    """(B, T) mean square error of the whole degraded frames, in units of the clip's."""

    supervised: int | None = None
    """The one frame that the loss sees: that of the reference, where nothing else is known."""

    painted: PaintedClip | None = None
    """Of the task style: the clip with its style, before the network."""

    token_dropout: float = 0.0
    """Share of latent tokens that this step zeroes."""

    seed: int = 0
    """Of this step's noise."""

    def to(self, device: torch.device) -> Batch:
        """Move every tensor."""
        moved: dict[str, Any] = {
            field.name: value.to(device)
            for field in fields(self)
            if isinstance(
                value := getattr(self, field.name), Tensor | PaintedClip | AlignedReference
            )
        }
        return replace(self, **moved)
