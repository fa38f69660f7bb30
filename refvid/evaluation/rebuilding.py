"""A clip through the model without files, as `refvid enhance` does it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.frames import rebuild_frames
from refvid.rebuild.memory import choose_budget
from refvid.rebuild.reference_choice import make_feed
from refvid.rebuild.reference_feed import GivenReference
from refvid.rebuild.references import Conditions

Frames = NDArray[np.uint8]
"""(T, H, W, 3) RGB."""

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""


def rebuild_with(
    loaded: LoadedBackbone,
    frames: Frames,
    references: Sequence[Picture] = (),
    places: Sequence[int | None] | None = None,
) -> Frames:
    """Run a clip through the model with pictures as references.

    Args:
        loaded: The model.
        frames: (T, H, W, 3), one shot.
        references: Of any sizes; none decodes without a reference.
        places: The frame that each belongs to; None, also for all, is to the whole clip.
    """
    if not references:
        return rebuild_conditioned(loaded, frames, Conditions())
    given = [
        GivenReference(name=f"{number}", read=partial(_same, picture), frame=place)
        for number, (picture, place) in enumerate(
            zip(references, places or [None] * len(references), strict=True)
        )
    ]
    height, width = frames.shape[1:3]
    feed = make_feed(given, loaded, (width, height), fit="auto", first=lambda: frames[0])
    return rebuild_conditioned(loaded, frames, Conditions(feed=feed))


def _same(picture: Picture) -> Picture:
    return picture


def rebuild_conditioned(loaded: LoadedBackbone, frames: Frames, conditions: Conditions) -> Frames:
    """Run a clip through the model as a command does, whatever else is on the machine.

    Args:
        loaded: The model.
        frames: (T, H, W, 3), one shot.
        conditions: What the model is given beside them.
    """
    budget = choose_budget(loaded.backbone.limits, *frames.shape[1:3])
    return rebuild_frames(loaded, frames, conditions, budget)[0]
