"""The global path: a frame painted with patches of the style, which stay on what they paint.

Attention for style cannot look at the same place, as that for a frame of the same shot does: every
token of the frame attends to the whole style image in all turns, and the sharpest attention is a
choice of one patch. Four things make a painting of the choices:

- large pieces come first: patches are chosen on a small picture, where a token covers a ninth of
  the frame's height, and smaller ones within them only where they fit much better;
- neighbours prefer patches that lie side by side in the style: large strokes stay whole;
- a token keeps the patch that painted its content in the frame before, unless another fits much
  better;
- where the video follows its motion, what is painted moves along with it, by optical flow.

Everything here is fixed: it learns nothing and takes no gradients. What the decoder makes of the
painting is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from refvid.models.bars import Content
from refvid.models.mini_style.bands import lightness
from refvid.models.mini_style.graphics import find_graphics, with_letters
from refvid.models.mini_style.guidance import measure_noise, remove_noise
from refvid.models.mini_style.hues import (
    find_shifts,
    measure_hues,
    move_hues,
    shrink_for_hues,
    strengthen_hues,
)
from refvid.models.mini_style.keyframes import Followed, KeyframeIndex, follow_keyframes
from refvid.models.mini_style.letters import Mask, hold_letters
from refvid.models.mini_style.levels import Corners, choose_patches, lay_patches
from refvid.models.mini_style.optical_flow import (
    Flow,
    Gray,
    gray_of,
    move_along,
    shrink_flow,
)
from refvid.models.mini_style.palette import Moments, measure_moments, recolour
from refvid.models.mini_style.sight import Sight, look
from refvid.models.mini_style.smooth import box_mean, cell_mean
from refvid.models.mini_style.style_index import StyleIndex, index_styles
from refvid.models.mini_style.tokens import STRIDE
from refvid.models.mini_style.tones import apply_tones, give_light, measure_tones, tone_curve

_KEEP = 0.92
"""Share of what was painted before in what is painted, where the motion is certain."""

_STEADY = 0.7
"""The same of the frame itself, that the painting follows: what flickers in it would be made as
strong as the style's contrast."""

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
    """The frame in the colours of the style, without its noise."""

    painted: Tensor
    """The frame made of patches of the style."""

    followed: Followed | None = None
    """What keyframes give; where it is sure, that is what is wanted."""

    graphics: Tensor | None = None
    """(H, W) from 0 to 1 where the frame must stay as it is: bars, titles and letters."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What the frames of a shot have in common, drifting slowly."""

    moments: Moments
    tones: Tensor
    noise: Tensor
    shifts: Tensor
    """Of hues, from `find_shifts`."""

    def mixed(self, other: Shot, share: float) -> Shot:
        return Shot(
            self.moments.mixed(other.moments, share),
            torch.lerp(self.tones, other.tones, share),
            torch.lerp(self.noise, other.noise, share),
            torch.lerp(self.shifts, other.shifts, share),
        )


@dataclass(frozen=True, slots=True)
class PaintState:
    """What a shot hands from frame to frame."""

    gray: Gray
    """Lightness of the frame before."""

    guide: Tensor
    """(3, H, W) it, without what was noise."""

    painted: Tensor
    """(3, h, w) its painting, on the canvas."""

    corners: Corners
    """The patch of every token of every level."""

    shot: Shot
    content: Content
    """What lies between black bars."""

    letters: Mask | None
    """Where letters were, (h, w) of `gray`; None without any."""

    prices: Tensor
    """(styles,) what keeps each style at its share of the frame."""

    search_phase: int
    """Frames painted so far: it tells which of the tokens search anywhere in the next one."""

    followed: Followed | None
    """Where keyframes were found."""

    threshold: Tensor | None = None
    """What must stand out to be the frame's, by `MiniStyleDecoder.fit_threshold`."""


@torch.no_grad()
def paint(
    frame: Tensor,
    style: StyleIndex,
    state: PaintState | None = None,
    keyframes: Sequence[KeyframeIndex] = (),
    sight: Sight | None = None,
) -> tuple[Painting, PaintState]:
    """Paint the next frame of a shot.

    Args:
        frame: (3, H, W) float32 in [-1, 1]; H and W multiples of 8.
        style: From `index_styles`.
        state: Of the frame before; None at the start of a shot.
        keyframes: Frames of the clip that somebody has painted.
        sight: What is seen in the frame, where that is known already.
    """
    if sight is None:
        sight = look(gray_of(frame), None if state is None else state.gray, frame.device)
    gray, flow, letters = sight.gray, sight.flow, sight.letters
    if state is not None:
        letters = hold_letters(letters, state.letters, gray.pixels, state.gray.pixels)
    graphics, content = find_graphics(frame, None if state is None else state.content)
    graphics = with_letters(graphics, letters, frame)
    shot = _measure(frame, content, style)
    if state is not None:
        shot = state.shot.mixed(shot, _DRIFT)
    guide = remove_noise(frame, shot.noise)
    if state is not None and flow is not None:
        guide = torch.lerp(guide, move_along(state.guide, flow), flow.trust * _STEADY)
    recoloured = _recoloured(guide, shot, style)
    canvas = _on_canvas(recoloured, style)
    small_flow = None if flow is None else shrink_flow(flow, style.canvas)
    before, prices, phase = (
        (None, None, 0) if state is None else (state.corners, state.prices, state.search_phase)
    )
    corners, prices = choose_patches(canvas, style, before, small_flow, prices, phase)
    height, width = frame.shape[1:]
    size = [-(-side // style.canvas) for side in (height, width)]
    painted = lay_patches(corners, style, canvas)
    painted = painted[:, : size[0], : size[1]]
    if state is not None and small_flow is not None:
        painted = _carried_along(painted, state.painted, small_flow)
    followed = None
    if keyframes:
        followed = follow_keyframes(frame, keyframes, state.followed if state else None, flow)
    shown = painted
    if style.canvas > 1:
        large = functional.interpolate(painted[None], scale_factor=style.canvas, mode="bilinear")
        shown = large[0, :, :height, :width]
    made = Painting(recoloured, shown, followed, graphics)
    return made, PaintState(
        gray, guide, painted, corners, shot, content, letters, prices, phase + 1, followed,
        None if state is None else state.threshold,
    )  # fmt: skip


def _measure(frame: Tensor, content: Content, style: StyleIndex) -> Shot:
    inside = frame[:, content.top : content.bottom, content.left : content.right]
    moments, tones = measure_moments(inside), measure_tones(inside)
    cells = _with_palette(shrink_for_hues(inside), moments, tones, style)
    shifts = find_shifts(measure_hues(cells), style.hues)
    return Shot(moments, tones, measure_noise(inside), shifts)


def _recoloured(frame: Tensor, shot: Shot, style: StyleIndex) -> Tensor:
    """The palette of the style, with light and dark in the order of the frame."""
    coloured = _with_palette(frame, shot.moments, shot.tones, style)
    return give_light(move_hues(coloured, shot.shifts), lightness(coloured))


def _with_palette(picture: Tensor, moments: Moments, tones: Tensor, style: StyleIndex) -> Tensor:
    coloured = recolour(picture, moments, style.moments)
    return give_light(coloured, apply_tones(lightness(picture), tone_curve(tones, style.tones)))


def _on_canvas(picture: Tensor, style: StyleIndex) -> Tensor:
    """A frame at the size at which it is painted, filled up to whole tokens of every level."""
    multiple = STRIDE * style.levels[0].factor * style.canvas
    height, width = picture.shape[1:]
    filled = functional.pad(
        picture[None], (0, -width % multiple, 0, -height % multiple), mode="replicate"
    )
    return cell_mean(filled[0], style.canvas)


def _carried_along(painted: Tensor, before: Tensor, flow: Flow) -> Tensor:
    """What was painted before, where it has moved to, and a little of what is painted anew."""
    blended = torch.lerp(painted, move_along(before, flow), flow.trust * _KEEP)
    return _keep_crisp(blended, painted)


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
        painted.append(strengthen_hues(painting.painted, index.hue_strengths))
    statistics = index.statistics.expand(len(frames), -1)
    return torch.stack(recoloured), torch.stack(painted), statistics
