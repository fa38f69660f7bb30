"""The global path: a frame painted with patches of the style, which stay on what they paint.

Attention for style cannot look at the same place, as that for a frame of the same shot does: every
token of the frame attends to the whole style image in all turns, and the sharpest attention is a
choice of one patch. Three things make a painting of the choices:

- neighbours prefer patches that lie side by side in the style: large strokes stay whole;
- a token keeps the patch that painted its content in the frame before, unless another fits much
  better;
- where the video follows its motion, what is painted moves along with it, pixel by pixel.

Everything here is fixed: it learns nothing and takes no gradients. What the decoder makes of the
painting is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from refvid.models.mini_style.keyframes import Followed, KeyframeIndex, follow_keyframes
from refvid.models.mini_style.motion import find_motion, move, spread
from refvid.models.mini_style.palette import Moments, measure_moments, recolour
from refvid.models.mini_style.patch_choice import PatchChoice
from refvid.models.mini_style.smooth import box_mean
from refvid.models.mini_style.style_index import StyleIndex, index_styles
from refvid.models.mini_style.tokens import (
    CELL,
    STRIDE,
    cut_patches,
    describe,
    join_patches,
    pad_for_tokens,
)

_KEEP = 0.92
"""Share of what was painted before in what is painted, where the motion is certain."""

_LARGEST_GAIN = 1.2
"""Detail of what moved along is strengthened by at most this from frame to frame."""

_FINE = 5
"""What is smaller than this is detail [pixels]."""

_DRIFT = 0.05
"""Share of a new frame in the shot's palette."""


@dataclass(frozen=True, slots=True)
class Painting:
    """What the decoder sees of one frame, (3, H, W) each, about [-1, 1]."""

    recoloured: Tensor
    """The frame in the colours of the style."""

    painted: Tensor
    """The frame made of patches of the style."""

    finished: Tensor | None = None
    """(H, W) how far the painting follows a keyframe, from 0 to 1: there it is what is wanted."""


@dataclass(frozen=True, slots=True)
class PaintState:
    """What a shot hands from frame to frame."""

    frame: Tensor
    """(3, H, W) the frame before."""

    painted: Tensor
    """(3, H, W) its painting."""

    corners: Tensor
    """(rows, columns, 3) the patch of every token."""

    moments: Moments
    """Palette of the shot so far."""

    prices: Tensor
    """(styles,) what keeps each style at its share of the frame."""

    search_phase: int
    """Which of the tokens search anywhere in the next frame."""

    followed: Followed | None
    """Where keyframes were found."""


@torch.no_grad()
def paint(
    frame: Tensor,
    style: StyleIndex,
    state: PaintState | None = None,
    keyframes: Sequence[KeyframeIndex] = (),
) -> tuple[Painting, PaintState]:
    """Paint the next frame of a shot.

    Args:
        frame: (3, H, W) float32 in [-1, 1]; H and W multiples of 8.
        style: From `index_styles`.
        state: Of the frame before; None at the start of a shot.
        keyframes: Frames of the clip that somebody has painted.
    """
    seen = measure_moments(frame)
    moments = seen if state is None else state.moments.mixed(seen, _DRIFT)
    recoloured = recolour(frame, moments, style.moments)
    motion = None if state is None else find_motion(frame, state.frame)
    queries = describe(pad_for_tokens(recoloured))[:: STRIDE // CELL, :: STRIDE // CELL]
    choice = PatchChoice(queries, style)
    if state is None or motion is None:
        choice.begin()
    else:
        choice.carry(state.corners, state.prices, state.search_phase, motion)
    corners = choice.settle()
    patches = cut_patches(style.pictures, corners.view(-1, 3))
    rows, columns = corners.shape[:2]
    painted = join_patches(patches.float().div_(127.5).sub_(1), (rows, columns))
    followed = None
    if keyframes:
        followed = follow_keyframes(frame, keyframes, state.followed if state else None)
        painted = torch.lerp(painted, followed.painted, followed.share)
    if state is not None and motion is not None:
        keep = spread(motion.trust) * _KEEP
        if followed is not None:
            # A keyframe comes out as it was painted, and not as something else becoming it.
            keep = keep * (1 - followed.share**8)
        painted = _keep_crisp(torch.lerp(painted, move(state.painted, motion), keep), painted)
    made = Painting(recoloured, painted, None if followed is None else followed.share)
    phase = choice.phase + 1
    return made, PaintState(frame, painted, corners, moments, choice.prices, phase, followed)


def _keep_crisp(blended: Tensor, fresh: Tensor) -> Tensor:
    """Give back the strength of detail that moving and cross-fading take frame by frame."""
    detail, wanted = (p - box_mean(p[None], _FINE)[0] for p in (blended, fresh))
    strength = (wanted.square().mean() / detail.square().mean().clamp_min(1e-8)).sqrt()
    return blended + detail * (strength.clamp(1, _LARGEST_GAIN) - 1)


def paint_clip(frames: Tensor, style: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Paint the frames of one shot, for training.

    Args:
        frames: (T, 3, H, W) in [-1, 1]; H and W multiples of 8.
        style: (3, h, w) in [-1, 1]; h and w multiples of 8.

    Returns:
        Recoloured and painted frames (T, 3, H, W), and the style's statistics (T, S).
    """
    index = index_styles([(style, 1.0)])
    recoloured, painted = [], []
    state: PaintState | None = None
    for frame in frames.unbind(0):
        painting, state = paint(frame, index, state)
        recoloured.append(painting.recoloured)
        painted.append(painting.painted)
    statistics = index.statistics.expand(len(frames), -1)
    return torch.stack(recoloured), torch.stack(painted), statistics
