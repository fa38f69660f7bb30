"""Encode and decode chunks of a shot, in as much memory as there is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from refvid.errors import DeviceError, OutOfMemory
from refvid.inference.chunks import next_length, pad_length
from refvid.inference.device import free_bytes, is_out_of_memory, release_cached_memory
from refvid.inference.memory import Budget, describe_budget, estimate_bytes, shrink
from refvid.inference.overlap import cross_fade
from refvid.inference.pixels import pad_clip
from refvid.models.backbone import Backbone

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ShotState:
    """What a model carries from one chunk of a shot to the next."""

    encoder: Any
    decoder: Any


@dataclass(frozen=True, slots=True)
class Reconstructed:
    """One rebuilt piece of a shot."""

    clip: Tensor
    """(1, 3, T, H, W) float32, about [-1, 1]; T, H and W are the input's. Or what `step` gave."""

    state: ShotState
    """For the next piece of the same shot."""

    budget: Budget
    """What fitted into memory; start the next piece with it."""


@torch.inference_mode()
def reconstruct(
    backbone: Backbone, clip: Tensor, reference: Any, state: ShotState | None, budget: Budget
) -> Reconstructed:
    """Rebuild consecutive frames of one shot.

    When memory runs out, the same frames are tried again in shorter chunks and then in tiles;
    what was finished before is kept.

    Args:
        backbone: The model.
        clip: (1, 3, T, H, W) float32 in [-1, 1], any T, H and W. A T that the model does not
            accept is only right at the end of a shot: it is padded.
        reference: What `prepare_reference` gave, or None.
        state: What the piece before handed back; None at the start of a shot.
        budget: Chunk lengths and tile to start with.

    Raises:
        OutOfMemory: Not even the smallest budget fits.
        DeviceError: The result has values that are no numbers.
    """
    height, width = clip.shape[3:]

    def step(
        position: int, length: int, state: ShotState | None, tile: int | None
    ) -> tuple[Tensor, ShotState]:
        part = clip[:, :, position : position + length]
        return _reconstruct_chunk(backbone, part, reference, state, tile)

    return work_within_budget(
        step, backbone, clip.shape[2], (height, width), state, budget, clip.device
    )


def work_within_budget(
    step: Callable[[int, int, ShotState | None, int | None], tuple[Tensor, ShotState]],
    backbone: Backbone,
    frames: int,
    size: tuple[int, int],
    state: ShotState | None,
    budget: Budget,
    device: torch.device,
    stride: int = 1,
) -> Reconstructed:
    """Take consecutive frames of one shot through a model, in ever smaller pieces if need be.

    Pieces overlap where the budget's chunks do, and what they share is cross-faded.

    Args:
        step: Does `length` frames from `position` on, with a state and a tile; gives a clip and
            the next state.
        backbone: The model.
        frames: How many there are.
        size: Height and width of the clip [pixels].
        state: None at the start of a shot.
        budget: Chunk lengths and tile to start with.
        device: Where the memory is.
        stride: Frames for each frame of what `step` gives.
    """
    smaller = shrink(budget, backbone.limits, *size)
    done: list[Tensor] = []
    position = 0
    while position < frames:
        shared = min(budget.lengths.overlap, position)
        start = position - shared
        length = next_length(frames - start, state is None, budget.lengths)
        try:
            rebuilt, state = step(start, length, state, budget.tile)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = str(error).partition("\n")[0]
        else:
            if shared:
                done[-1], rebuilt = cross_fade(done[-1], rebuilt, shared // stride)
            done.append(rebuilt)
            position = start + length
            continue
        # Outside the handler: the error's traceback holds the tensors that did not fit.
        release_cached_memory(device)
        next_budget = next(smaller, None)
        if next_budget is None:
            raise OutOfMemory(_does_not_fit(backbone, size, device, budget, failure))
        logger.warning(
            "Out of memory with %s; trying again with %s.",
            describe_budget(budget),
            describe_budget(next_budget),
        )
        budget = next_budget
    assert state is not None, "a clip has at least one frame"
    return Reconstructed(done[0] if len(done) == 1 else torch.cat(done, dim=2), state, budget)


def _reconstruct_chunk(
    backbone: Backbone, clip: Tensor, reference: Any, state: ShotState | None, tile: int | None
) -> tuple[Tensor, ShotState]:
    """Pad, encode, decode, crop one chunk."""
    frames, height, width = clip.shape[2:]
    padded = pad_clip(clip, backbone.limits, pad_length(frames, state is None, backbone.limits))
    encoded = backbone.encode(padded, state.encoder if state else None)
    decoded = backbone.decode(
        encoded.latents, reference, state.decoder if state else None, tile=tile
    )
    assert decoded.clip.shape == padded.shape, "a model gives back the size that it was given"
    rebuilt = decoded.clip[:, :, :frames, :height, :width].to(torch.float32)
    check_numbers(backbone, rebuilt)
    return rebuilt, ShotState(encoded.state, decoded.state)


def check_numbers(backbone: Backbone, result: Tensor) -> None:
    """Raise `DeviceError` where a model's result has values that are no numbers."""
    if not bool(torch.isfinite(result).all()):
        raise DeviceError(
            f"The model {backbone.name} gave values that are no numbers; "
            "compute in full precision with --dtype fp32."
        )


def _does_not_fit(
    backbone: Backbone, size: tuple[int, int], device: torch.device, budget: Budget, failure: str
) -> str:
    height, width = size
    needed = estimate_bytes(backbone, height, width, budget)
    free = free_bytes(device)
    found = "" if free is None else f"; {free / 2**30:.1f} GiB are free"
    return (
        f"{width}x{height} does not fit into the memory of {device}: even "
        f"{describe_budget(budget)} needs about {needed / 2**30:.1f} GiB{found}. "
        f"Close other programs, choose another --device or a smaller video. ({failure})"
    )
