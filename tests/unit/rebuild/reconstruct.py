"""A session taken through one clip, as tests ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from refvid.models.backbone import Backbone
from refvid.rebuild.memory import Budget
from refvid.rebuild.session import Session, ShotState

__all__ = ["Reconstructed", "ShotState", "reconstruct"]


@dataclass(frozen=True, slots=True)
class Reconstructed:
    """One rebuilt piece of a shot, and what the next one starts with."""

    clip: Tensor
    state: ShotState
    budget: Budget


def reconstruct(
    backbone: Backbone, clip: Tensor, reference: Any, state: ShotState | None, budget: Budget
) -> Reconstructed:
    """Rebuild consecutive frames of one shot."""
    session = Session(backbone, clip.device, budget, reference)
    session.state = state
    rebuilt = session.rebuild_whole(clip)
    assert session.state is not None, "a clip has at least one frame"
    return Reconstructed(rebuilt, session.state, session.budget.now)
