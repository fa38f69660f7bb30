"""The style decoder: how the painting and the frame become one picture.

A painting made of patches has the colours and strokes of the style, but its edges are where the
patches have theirs; the recoloured frame has the edges of the video. Their mean has half of both:
details that have nothing to do with each other cancel out. So their lightness is split into
octaves, and in each octave every place belongs to one of them: to the frame where its detail stands
out from what the frame has elsewhere and around, and to the painting everywhere else. Large strokes
cross a face, and its eyes and mouth stay.

Neighbouring octaves decide together, so that a stroke is there as a whole or not at all. How much
has to stand out can be learned, for each octave and by the statistics of the style; an untrained
decoder has one threshold for all. It is found for a shot: paint that follows a frame's contours
hides little of it, and may cover more.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.models.mini_style.bands import blurred, halve, join_bands, lightness, split_bands
from refvid.models.mini_style.config import MiniStyleConfig
from refvid.models.mini_style.similarity import gradient_similarity
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

_FINEST, _FINEST_LOSS = 0.6, 0.8
"""Strength of the painting's finest octave at least, and what it loses for a structure of 1: it is
canvas and grain, not strokes, and all that a motion of less than a pixel changes."""

_LEAST_KEPT, _MOST_KEPT = 0.385, 0.985
"""Structure of a frame that is kept at most, at a structure of 0 and of 1: more is painted over."""

_LOOSER, _TRIES = math.log(4), 5
"""By how much a threshold rises for that at most, and how many are tried."""

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
        threshold: Tensor | None = None,
    ) -> Tensor:
        """Decode frames.

        Args:
            recoloured: (N, 3, H, W) frames in the colours of the style, about [-1, 1].
            painted: (N, 3, H, W) the same frames made of patches of the style.
            statistics: (N, STATISTICS) of the style.
            structure: From 0, all is painted, to 1, what little stands out is the frame's.
            threshold: From `fit_threshold`; None for the usual one of this structure.

        Returns:
            (N, 3, H, W) in [-1, 1].
        """
        what_stands = _usual_threshold(structure) if threshold is None else threshold
        ours, theirs = lightness(recoloured), lightness(painted)
        frames, paintings = split_bands(ours, self.bands), split_bands(theirs, self.bands)
        strong = [_as_strong(*pair) for pair in zip(frames, paintings, strict=True)]
        paintings[0] = max(_FINEST, 1 - _FINEST_LOSS * structure) * paintings[0]
        standing = _agreed([_standing_out(band) for band in frames[:-1]])
        joined = [
            judge(frame, painting, above - what_stands, statistics)
            for judge, frame, painting, above in zip(
                self.judges, strong, paintings, standing, strict=False
            )
        ]
        light = join_bands([*joined, torch.lerp(paintings[-1], frames[-1], _LIGHT)])
        colour, other = painted - theirs, recoloured - ours
        colour = colour + _COLOUR * blurred(other - colour, _COLOUR_CELL)
        return give_light(colour, light)

    def fit_threshold(
        self, frame: Tensor, recoloured: Tensor, painted: Tensor, structure: float
    ) -> Tensor:
        """Find what must stand out to be the frame's, so that no more structure is kept than asked.

        Args:
            frame: (1, 3, H, W) in [-1, 1] as it came.
            recoloured: (1, 3, H, W) see `forward`.
            painted: (1, 3, H, W).
            structure: From 0 to 1.

        Returns:
            A scalar: the usual threshold, or a higher one where with that much more structure was
            kept than is asked for.
        """
        usual = _usual_threshold(structure)
        # The finest octave costs the most and tells the least.
        frames, paintings = (
            split_bands(halve(lightness(picture)), self.bands - 1)
            for picture in (recoloured, painted)
        )
        wanted = halve(lightness(frame))
        standing = _agreed([_standing_out(band) for band in frames[:-1]])
        most = _LEAST_KEPT + structure * (_MOST_KEPT - _LEAST_KEPT)
        rising = [usual + _LOOSER * n / (_TRIES - 1) for n in range(_TRIES)]
        kept = []
        for threshold in rising:
            joined = [
                torch.lerp(painting, _as_strong(band, painting), _share(above - threshold))
                for band, painting, above in zip(frames, paintings, standing, strict=False)
            ]
            light = join_bands([*joined, torch.lerp(paintings[-1], frames[-1], _LIGHT)])
            kept.append(gradient_similarity(light, wanted))
        # From the first threshold on, as long as too much is kept; on a card, nobody waits for it.
        found, too_much = torch.full_like(kept[0], usual), torch.ones_like(kept[0])
        for before, now in pairwise(kept):
            too_much = too_much * (before > most)
            between = (before - most) / (before - now).clamp_min(1e-6)
            found = found + too_much * between.clamp(0, 1) * (_LOOSER / (_TRIES - 1))
        return found


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
        """Bands (N, 1, h, w) as strong as each other, and how far above the threshold one is."""
        if not self.learned:
            return torch.lerp(painting, frame, _share(above))
        stroke = 0.5 * (box_mean(painting.square(), _AROUND) + _FAINT**2).log()
        stroke = stroke - (_strength(painting) + _FAINT).log()
        features = torch.cat((above, stroke, above - stroke), 1)
        told = self.look(features.clamp(-4, 4)) + self.condition(statistics)[..., None, None]
        shift, strokes = self.decide(functional.silu(told)).chunk(2, 1)
        return torch.lerp(painting * strokes.exp(), frame, _share(above + shift / _DECISION))


def _usual_threshold(structure: float) -> float:
    return math.log(_LOOSE) + structure * math.log(_STRICT / _LOOSE)


def _share(above: Tensor) -> Tensor:
    """The frame's share of a place, by how far it is above the threshold."""
    return (_DECISION * above).sigmoid()


def _as_strong(frame: Tensor, painting: Tensor) -> Tensor:
    """A band (N, 1, h, w) of a frame, as strong as the painting's within bounds."""
    gain = (_strength(painting) + _FAINT) / (_strength(frame) + _FAINT)
    return frame * gain.clamp(_LEAST_GAIN, _MOST_GAIN)


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
