"""The local path: frames that somebody has painted, followed through the clip.

A painted frame of the clip itself needs no attention over all of it: what was painted on a place of
that frame belongs wherever this place is in another one, as in example-based stylisation (Jamriska
et al., "Stylizing video by example", 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from refvid.models.mini_style.motion import Motion, find_motion, move, spread

_DECISION = 8
"""The keyframe that is found most surely counts most: powers of the trust in it."""


@dataclass(frozen=True, slots=True)
class KeyframeIndex:
    """A painted frame and what it was painted over, (3, H, W) each in [-1, 1]."""

    painted: Tensor
    frame: Tensor


@dataclass(frozen=True, slots=True)
class Followed:
    """What the keyframes give to a frame."""

    painted: Tensor
    """(3, H, W) what was painted, where it has moved to."""

    share: Tensor
    """(H, W) how sure that is, from 0 to 1."""

    motions: tuple[Motion, ...]
    """Where the frame's blocks are in each keyframe."""


def follow_keyframes(
    frame: Tensor, keyframes: Sequence[KeyframeIndex], before: Followed | None
) -> Followed:
    """Find the keyframes in a frame (3, H, W), with the result of the frame before as a hint."""
    motions = []
    for number, keyframe in enumerate(keyframes):
        hint = None if before is None else before.motions[number]
        motions.append(find_motion(frame, keyframe.frame, hint))
    trusts = torch.stack([spread(motion.trust) for motion in motions])
    weights = trusts**_DECISION + 1e-9
    weights = weights / weights.sum(0)
    moved = torch.stack([move(k.painted, m) for k, m in zip(keyframes, motions, strict=True)])
    return Followed((moved * weights[:, None]).sum(0), trusts.amax(0), tuple(motions))
