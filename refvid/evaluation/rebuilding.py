"""A clip through the model without files, as `refvid enhance` does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refvid.inference.chunks import split_into_chunks
from refvid.inference.memory import choose_budget
from refvid.inference.overlap import ChunkJoiner
from refvid.inference.pixels import clip_to_frames, frames_to_clip
from refvid.inference.reconstruct import ShotState, reconstruct
from refvid.inference.reference import prepare_reference
from refvid.media.image import fit_image
from refvid.workflows.choose_model import LoadedBackbone

Frames = NDArray[np.uint8]
"""(T, H, W, 3) RGB."""

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""


class OneReferenceOnly(ValueError):
    """The model takes one reference at a time, and was given several."""


def rebuild_with(
    loaded: LoadedBackbone, frames: Frames, references: Sequence[Picture] = ()
) -> Frames:
    """Run a clip through the model with pictures as references.

    Args:
        loaded: The model.
        frames: (T, H, W, 3), one shot.
        references: Of any sizes; none decodes without a reference.

    Raises:
        OneReferenceOnly: There are more than the model takes.
    """
    if not references:
        return rebuild_frames(loaded, frames, None)
    if len(references) > 1:
        raise OneReferenceOnly(f"{loaded.name} takes one reference at a time")
    height, width = frames.shape[1:3]
    fitted = fit_image(references[0], width, height, "cover")
    prepared = prepare_reference(loaded.backbone, fitted, loaded.device)
    return rebuild_frames(loaded, frames, prepared)


def rebuild_frames(loaded: LoadedBackbone, frames: Frames, prepared: Any) -> Frames:
    """Run a clip through the model as a command does, without files.

    Args:
        loaded: The model.
        frames: (T, H, W, 3), one shot.
        prepared: What `Backbone.decode` takes as `reference`.
    """
    backbone, device = loaded.backbone, loaded.device
    budget = choose_budget(backbone.limits, *frames.shape[1:3])
    state: ShotState | None = None
    joiner = ChunkJoiner()
    rebuilt: list[Frames] = []
    for chunk in split_into_chunks(((frame, False) for frame in frames), budget.lengths):
        clip = frames_to_clip(list(chunk.frames), device)
        result = reconstruct(backbone, clip, prepared, state, budget)
        state, budget = result.state, result.budget
        joined = joiner.join(result.clip, chunk.shared, chunk.held_back)
        rebuilt.append(clip_to_frames(joined, np.uint8))
    return np.concatenate(rebuilt)
