"""The state of a painted shot, written down."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from refvid.models.backbone import PackedState
from refvid.models.bars import Content
from refvid.models.mini_style.keyframes import Followed
from refvid.models.mini_style.motion import Motion
from refvid.models.mini_style.optical_flow import Gray
from refvid.models.mini_style.painting import PaintState, Shot
from refvid.models.mini_style.palette import Moments


def pack(state: PaintState) -> PackedState:
    """Write a state down."""
    shot, content = state.shot, state.content
    tensors = {
        "gray": torch.from_numpy(state.gray.pixels),
        "guide": state.guide,
        "painted": state.painted,
        "mean": shot.moments.mean,
        "covariance": shot.moments.covariance,
        "tones": shot.tones,
        "noise": shot.noise,
        "shifts": shot.shifts,
        "prices": state.prices,
    }
    if state.threshold is not None:
        tensors["threshold"] = state.threshold
    if state.letters is not None:
        tensors["letters"] = torch.from_numpy(state.letters.astype(np.uint8))
    tensors |= {f"{number}.corners": corners for number, corners in enumerate(state.corners)}
    motions = 0
    if state.followed is not None:
        tensors |= {"followed": state.followed.painted, "share": state.followed.share}
        motions = len(state.followed.motions)
        for number, motion in enumerate(state.followed.motions):
            tensors[f"{number}.position"] = motion.position
            tensors[f"{number}.trust"] = motion.trust
    facts = {
        "size": list(state.gray.size),
        "content": [content.top, content.bottom, content.left, content.right],
        "levels": len(state.corners),
        "search_phase": state.search_phase,
        "motions": motions,
        "is_followed": state.followed is not None,
    }
    # Parts of other tensors would be written whole.
    return PackedState({name: one.cpu().contiguous() for name, one in tensors.items()}, facts)


def unpack(packed: PackedState, device: torch.device) -> PaintState:
    """Make a state again; see `StatePacker.unpack_state`."""
    facts = packed.facts
    tensors: Mapping[str, Tensor] = {name: one.to(device) for name, one in packed.tensors.items()}
    followed = None
    if facts["is_followed"]:
        motions = tuple(
            Motion(tensors[f"{number}.position"], tensors[f"{number}.trust"])
            for number in range(facts["motions"])
        )
        followed = Followed(tensors["followed"], tensors["share"], motions)
    height, width = facts["size"]
    top, bottom, left, right = facts["content"]
    return PaintState(
        gray=Gray(np.ascontiguousarray(packed.tensors["gray"].cpu().numpy()), (height, width)),
        guide=tensors["guide"],
        painted=tensors["painted"],
        corners=tuple(tensors[f"{number}.corners"] for number in range(facts["levels"])),
        shot=Shot(
            Moments(packed.tensors["mean"].cpu(), packed.tensors["covariance"].cpu()),
            tensors["tones"],
            tensors["noise"],
            tensors["shifts"],
        ),
        content=Content(top=top, bottom=bottom, left=left, right=right),
        letters=packed.tensors["letters"].cpu().numpy() > 0 if "letters" in tensors else None,
        prices=tensors["prices"],
        search_phase=facts["search_phase"],
        followed=followed,
        threshold=tensors.get("threshold"),
    )
