"""Decode chunks of latents, in as much memory as there is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from refvid.inference.memory import Budget
from refvid.inference.reconstruct import (
    Reconstructed,
    ShotState,
    check_numbers,
    work_within_budget,
)
from refvid.models.backbone import Backbone, BackboneLimits


@torch.inference_mode()
def decode_latents(
    backbone: Backbone,
    latents: Tensor,
    reference: Any,
    state: ShotState | None,
    budget: Budget,
    size: tuple[int, int],
) -> Reconstructed:
    """Decode consecutive latent frames of one shot.

    When memory runs out, the same latents are tried again in shorter chunks and then in tiles;
    what was finished before is kept.

    Args:
        backbone: The model.
        latents: (1, C, t, h, w), raw, where the backbone computes.
        reference: What `prepare_reference` gave, or None.
        state: What the piece before handed back; None at the start of a shot.
        budget: Chunk lengths and tile to start with.
        size: Height and width that the latents decode to [pixels].

    Raises:
        OutOfMemory: Not even the smallest budget fits.
        DeviceError: The result has values that are no numbers.
    """
    limits = backbone.limits
    starts_shot = state is None
    frames = count_frames(latents.shape[2], limits, starts_shot=starts_shot)

    def step(
        position: int, length: int, state: ShotState | None, tile: int | None
    ) -> tuple[Tensor, ShotState]:
        start = count_latents(position, limits, starts_shot=starts_shot)
        stop = count_latents(position + length, limits, starts_shot=starts_shot)
        part = latents[:, :, start:stop]
        decoded = backbone.decode(part, reference, state.decoder if state else None, tile=tile)
        assert decoded.clip.shape[2:] == (length, *size), "as large as the limits say"
        clip = decoded.clip.to(torch.float32)
        check_numbers(backbone, clip)
        return clip, ShotState(None, decoded.state)

    return work_within_budget(step, backbone, frames, size, state, budget, latents.device)


def count_frames(latents: int, limits: BackboneLimits, *, starts_shot: bool) -> int:
    """Frames that so many latents decode to."""
    extra = limits.first_chunk_extra if starts_shot else 0
    return extra + (latents - extra) * limits.temporal_stride


def count_latents(frames: int, limits: BackboneLimits, *, starts_shot: bool) -> int:
    """Latents that so many frames are encoded to; the reverse of `count_frames`."""
    extra = limits.first_chunk_extra if starts_shot and frames else 0
    return extra + (frames - extra) // limits.temporal_stride
