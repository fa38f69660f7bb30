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

from refvid.models.matching import TOKEN
from refvid.models.mini_style.motion import Motion, find_motion, move, spread
from refvid.models.mini_style.optical_flow import Flow, move_along
from refvid.models.mini_style.smooth import box_mean

_KEEP = 0.92
"""Share of what was followed before, where the motion is certain: it does not jump by pixels."""

_HOLD = 0.95
"""What was followed and is found no more goes on along the flow, and gives way to the style by this
from frame to frame."""

_UNSURE, _SURE = 0.4, 0.9
"""Trust below which a keyframe is not there, and above which it is: half of it would be a smear."""

_CROWD_CELL, _CROWDED = 16, 4.0
"""Cells in which blocks are counted [pixels], and how many times as many as usual are a crowd."""

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
    frame: Tensor,
    keyframes: Sequence[KeyframeIndex],
    before: Followed | None,
    flow: Flow | None,
) -> Followed:
    """Find the keyframes in a frame (3, H, W).

    Args:
        frame: In [-1, 1].
        keyframes: What was painted.
        before: The result of the frame before: a hint, and what is followed goes on from it.
        flow: To the frame before.
    """
    motions = []
    for number, keyframe in enumerate(keyframes):
        hint = None if before is None else before.motions[number]
        motions.append(find_motion(frame, keyframe.frame, hint))
    trusts = torch.stack([spread(motion.trust * uncrowded(motion)) for motion in motions])
    weights = trusts**_DECISION + 1e-9
    weights = weights / weights.sum(0)
    moved = torch.stack([move(k.painted, m) for k, m in zip(keyframes, motions, strict=True)])
    painted, share = (moved * weights[:, None]).sum(0), _surely(trusts.amax(0))
    if before is not None and flow is not None:
        # A keyframe comes out as it was painted, and not as something else becoming it.
        held = flow.trust * before.share
        keep = held * (1 - (1 - _KEEP) * share) * (1 - share**8)
        painted = torch.lerp(painted, move_along(before.painted, flow), keep)
        share = torch.maximum(share, held * _HOLD)
    return Followed(painted, share, tuple(motions))


def uncrowded(motion: Motion) -> Tensor:
    """(rows, columns) from 1 down to 0: blocks that crowd at one place do not all come from there.

    Plain ground looks the same everywhere; what was painted on one spot of it, a stroke or a line,
    would be repeated as a pattern.
    """
    rows, columns = motion.position.shape[:2]
    cell = motion.position.div(_CROWD_CELL, rounding_mode="floor")
    across = columns * TOKEN // _CROWD_CELL + 1
    number = (cell[..., 0] * across + cell[..., 1]).flatten()
    crowd = torch.zeros(across * (rows * TOKEN // _CROWD_CELL + 1), device=number.device)
    crowd.scatter_add_(0, number, torch.ones_like(number, dtype=crowd.dtype))
    usual = (_CROWD_CELL / TOKEN) ** 2
    share = _CROWDED * usual / crowd[number]
    return box_mean(share.clamp(max=1).square().view(1, 1, rows, columns), 3)[0, 0]


def _surely(trust: Tensor) -> Tensor:
    """From trust to a decision with a short way between no and yes."""
    rising = ((trust - _UNSURE) / (_SURE - _UNSURE)).clamp(0, 1)
    return rising.square() * (3 - 2 * rising)
