"""The state of a painted shot, written down."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from refvid.models.backbone import PackedState
from refvid.models.mini_style.keyframes import Followed
from refvid.models.mini_style.motion import Motion
from refvid.models.mini_style.painting import PaintState
from refvid.models.mini_style.palette import Moments


def pack(state: PaintState) -> PackedState:
    """Write a state down."""
    tensors = {
        "frame": state.frame,
        "painted": state.painted,
        "corners": state.corners,
        "mean": state.moments.mean,
        "covariance": state.moments.covariance,
        "prices": state.prices,
    }
    motions = 0
    if state.followed is not None:
        tensors |= {"followed": state.followed.painted, "share": state.followed.share}
        motions = len(state.followed.motions)
        for number, motion in enumerate(state.followed.motions):
            tensors[f"{number}.position"] = motion.position
            tensors[f"{number}.trust"] = motion.trust
    facts = {
        "search_phase": state.search_phase,
        "motions": motions,
        "is_followed": state.followed is not None,
    }
    return PackedState({name: one.cpu() for name, one in tensors.items()}, facts)


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
    return PaintState(
        frame=tensors["frame"],
        painted=tensors["painted"],
        corners=tensors["corners"],
        moments=Moments(tensors["mean"], tensors["covariance"]),
        prices=tensors["prices"],
        search_phase=facts["search_phase"],
        followed=followed,
    )
