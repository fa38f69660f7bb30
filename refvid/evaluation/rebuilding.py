"""A clip through the model without files, as `refvid enhance` does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from refvid.models.backbone import Reference, ReferenceFinder
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.frames import rebuild_frames
from refvid.rebuild.memory import choose_budget
from refvid.rebuild.references import Conditions, condition_on

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
    height, width = frames.shape[1:3]
    if not references:
        return rebuild_conditioned(loaded, frames, Conditions())
    if len(references) == 1:
        conditions = condition_on(
            references[0], loaded, (width, height), fit="auto", first=lambda: frames[0]
        )
        return rebuild_conditioned(loaded, frames, conditions)
    if not loaded.backbone.limits.finds_references:
        raise OneReferenceOnly(f"{loaded.name} takes one reference at a time")
    finder = cast("ReferenceFinder", loaded.backbone)
    given = {n: _reference(picture) for n, picture in enumerate(references)}
    return rebuild_conditioned(
        loaded, frames, Conditions(reference=finder.prepare_references(given))
    )


def _reference(picture: Picture) -> Reference:
    return Reference(read=lambda: picture)


def rebuild_conditioned(loaded: LoadedBackbone, frames: Frames, conditions: Conditions) -> Frames:
    """Run a clip through the model as a command does, whatever else is on the machine.

    Args:
        loaded: The model.
        frames: (T, H, W, 3), one shot.
        conditions: What the model is given beside them.
    """
    budget = choose_budget(loaded.backbone.limits, *frames.shape[1:3])
    return rebuild_frames(loaded, frames, conditions, budget)[0]
