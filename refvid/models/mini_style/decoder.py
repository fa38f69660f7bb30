"""The style decoder: how the painting and the frame become one picture.

A painting made of patches has the colours and strokes of the style, but its edges are where the
patches have theirs; the recoloured frame has the edges of the video. Their mean has half of both:
details that have nothing to do with each other cancel out. So their lightness is split into
octaves, and in each octave every place belongs to one of them: to the frame where its detail stands
out from what the frame has elsewhere and around, and to the painting everywhere else. Large strokes
cross a face, and its eyes and mouth stay.

Neighbouring octaves decide together, so that a stroke is there as a whole or not at all. How much
has to stand out can be learned, for each octave and by the statistics of the style; an untrained
decoder has one threshold for all.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.models.mini_style.bands import blurred, join_bands, lightness, split_bands
from refvid.models.mini_style.config import MiniStyleConfig
from refvid.models.mini_style.smooth import box_mean
from refvid.models.mini_style.style_index import STATISTICS
from refvid.models.mini_style.tones import give_light

DEFAULT_STRUCTURE = 0.5

_LOOSE, _STRICT = 2.0, 0.05
"""Thresholds at a structure of 0 and of 1: local contrast over what is usual in the frame."""

_DECISION = 4
"""Powers of that ratio: nearly all of a place belongs to one picture."""

_FAINT = 0.004
"""Contrast below which nothing stands out, of a range of 2."""

_AROUND = 5
"""Side of the boxes in which contrast is measured [pixels of the octave]."""

_WIDE = 24
"""Side of the cells that tell what is usual around a place [pixels of the octave]."""

_LEAST_GAIN, _MOST_GAIN = 0.5, 2.5
"""The frame's detail becomes as strong as the style's, within these bounds."""

_LIGHT = 0.5
"""Share of the frame in what is lightest and darkest over large areas: faces stay lit."""

_COLOUR, _COLOUR_CELL = 0.2, 32
"""Share of the frame in its colours over cells of so many pixels."""

_FEATURES = 3


class MiniStyleDecoder(nn.Module):
    """Joins a recoloured frame and its painting."""

    def __init__(self, config: MiniStyleConfig) -> None:
        super().__init__()
        self.bands = config.bands
        self.judges = nn.ModuleList(_Judge(config.hidden) for _ in range(config.bands))

    def leave_out_untrained(self) -> None:
        """Spend no time on what would shift nothing; for weights that do not change any more."""
        for judge in self.judges:
            assert isinstance(judge, _Judge), "there are no others"
            judge.learned = any(bool(part.any()) for part in judge.decide.parameters())

    def forward(
        self,
        recoloured: Tensor,
        painted: Tensor,
        statistics: Tensor,
        structure: float = DEFAULT_STRUCTURE,
    ) -> Tensor:
        """Decode frames.

        Args:
            recoloured: (N, 3, H, W) frames in the colours of the style, about [-1, 1].
            painted: (N, 3, H, W) the same frames made of patches of the style.
            statistics: (N, STATISTICS) of the style.
            structure: From 0, all is painted, to 1, what little stands out is the frame's.

        Returns:
            (N, 3, H, W) in [-1, 1].
        """
        threshold = math.log(_LOOSE) + structure * math.log(_STRICT / _LOOSE)
        ours, theirs = lightness(recoloured), lightness(painted)
        frames, paintings = split_bands(ours, self.bands), split_bands(theirs, self.bands)
        standing = _agreed([_standing_out(band) for band in frames[:-1]])
        joined = [
            judge(frame, painting, above - threshold, statistics)
            for judge, frame, painting, above in zip(
                self.judges, frames, paintings, standing, strict=False
            )
        ]
        light = join_bands([*joined, torch.lerp(paintings[-1], frames[-1], _LIGHT)])
        colour, other = painted - theirs, recoloured - ours
        colour = colour + _COLOUR * blurred(other - colour, _COLOUR_CELL)
        return give_light(colour, light)


class _Judge(nn.Module):
    """Decides for one octave."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.learned = True
        self.look = nn.Conv2d(_FEATURES, hidden, 1)
        self.condition = nn.Linear(STATISTICS, hidden)
        self.decide = nn.Conv2d(hidden, 2, 1)
        for layer in (self.condition, self.decide):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def forward(self, frame: Tensor, painting: Tensor, above: Tensor, statistics: Tensor) -> Tensor:
        """Bands (N, 1, h, w) of both, and how far the frame is above the threshold."""
        whole, whole_painting = _strength(frame), _strength(painting)
        gain = ((whole_painting + _FAINT) / (whole + _FAINT)).clamp(_LEAST_GAIN, _MOST_GAIN)
        if not self.learned:
            return torch.lerp(painting, frame * gain, (_DECISION * above).sigmoid())
        stroke = 0.5 * (box_mean(painting.square(), _AROUND) + _FAINT**2).log()
        stroke = stroke - (whole_painting + _FAINT).log()
        features = torch.cat((above, stroke, above - stroke), 1)
        told = self.look(features.clamp(-4, 4)) + self.condition(statistics)[..., None, None]
        shift, strokes = self.decide(functional.silu(told)).chunk(2, 1)
        share = (_DECISION * above + shift).sigmoid()
        return torch.lerp(painting * strokes.exp(), frame * gain, share)


def _standing_out(band: Tensor) -> Tensor:
    """Logarithm of the contrast of (N, 1, h, w) over what is usual in the frame, and around."""
    energy = band.square()
    wide = blurred(energy, min(_WIDE, *band.shape[2:]))
    usual = (_strength(band) * (wide + _FAINT**2).sqrt()).sqrt() + _FAINT
    return 0.5 * (box_mean(energy, _AROUND) + 1e-10).log() - usual.log()


def _agreed(standing: list[Tensor]) -> list[Tensor]:
    """Mean of each octave, the finer one beside it, and two coarser ones."""
    agreed = []
    for octave, own in enumerate(standing):
        around = [own]
        for other in (octave - 1, octave + 1, octave + 2):
            if 0 <= other < len(standing):
                size = own.shape[2:]
                finer = other < octave
                shown = functional.interpolate(
                    standing[other], size=size, mode="bilinear", antialias=finer
                )
                around.append(shown)
        agreed.append(torch.stack(around).mean(0))
    return agreed


def _strength(band: Tensor) -> Tensor:
    """(N, 1, 1, 1) root mean square."""
    return band.square().mean((2, 3), keepdim=True).sqrt()
