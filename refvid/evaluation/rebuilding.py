"""A clip through the model without files, as `refvid enhance` does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from refvid.media.image import fit_image
from refvid.models.backbone import Reference, ReferenceFinder
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.chunks import split_into_chunks
from refvid.rebuild.memory import choose_budget
from refvid.rebuild.pixels import clip_to_frames, frames_to_clip
from refvid.rebuild.references import likelier_fit, prepare_reference
from refvid.rebuild.session import Session

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
    backbone = loaded.backbone
    if not references:
        return rebuild_frames(loaded, frames, None)
    if backbone.limits.finds_references:
        finder = cast("ReferenceFinder", backbone)
        given = {n: _reference(picture) for n, picture in enumerate(references)}
        return rebuild_frames(loaded, frames, finder.prepare_references(given))
    if len(references) > 1:
        raise OneReferenceOnly(f"{loaded.name} takes one reference at a time")
    height, width = frames.shape[1:3]
    fit = likelier_fit(references[0], frames[0])
    fitted = fit_image(references[0], width, height, fit)
    return rebuild_frames(loaded, frames, prepare_reference(backbone, fitted, loaded.device))


def _reference(picture: Picture) -> Reference:
    return Reference(read=lambda: picture)


def rebuild_frames(loaded: LoadedBackbone, frames: Frames, prepared: Any) -> Frames:
    """Run a clip through the model as a command does, without files.

    Args:
        loaded: The model.
        frames: (T, H, W, 3), one shot.
        prepared: What `Backbone.decode` takes as `reference`.
    """
    budget = choose_budget(loaded.backbone.limits, *frames.shape[1:3])
    session = Session(loaded.backbone, loaded.device, budget, prepared)
    rebuilt: list[Frames] = []
    for chunk in split_into_chunks(((frame, False) for frame in frames), budget.lengths):
        clip = frames_to_clip(list(chunk.frames), loaded.device)
        rebuilt.append(clip_to_frames(session.rebuild(clip, chunk), np.uint8))
    return np.concatenate(rebuilt)
