"""The style decoder: how the painting and the frame become one picture.

A painting made of patches has the colours and strokes of the style, but its edges are where the
patches have theirs; the recoloured frame has the edges of the video. Their mean has half of both:
details that have nothing to do with each other cancel out. So each is split into what is smooth and
what is detail. A U-shaped network says for every pixel how much of the painting's colour to take,
how strong the strokes are, how strong the frame's own edges, and how much lighter or darker it is:
all colours are the painting's or the recoloured frame's. The statistics of the style tell it how
strong the strokes have to be.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from refvid.models.mini_style.config import MiniStyleConfig
from refvid.models.mini_style.pyramid import Pyramid
from refvid.models.mini_style.smooth import box_mean
from refvid.models.mini_style.style_index import STATISTICS

CELL = 2
"""Side of the cells that the network works on [pixels]."""

_PIXELS = 3 * CELL**2

_DECISIONS = 4
"""Of every pixel, see above."""

_MOST = 1.6
"""Strokes and edges are at most so many times as strong as they were; half of it to begin with."""

_SMOOTH = 9
"""What is smaller than this is detail [pixels]."""


class MiniStyleDecoder(nn.Module):
    """Joins a recoloured frame and its painting."""

    def __init__(self, config: MiniStyleConfig) -> None:
        super().__init__()
        self.frame = nn.Conv2d(_PIXELS, config.widths[0], 3, padding=1)
        self.painting = nn.Conv2d(_PIXELS, config.widths[0], 3, padding=1)
        self.pyramid = Pyramid(config.widths, config.depths, STATISTICS, _DECISIONS * CELL**2)

    def forward(self, recoloured: Tensor, painted: Tensor, statistics: Tensor) -> Tensor:
        """Decode frames.

        Args:
            recoloured: (N, 3, H, W) frames in the colours of the style, about [-1, 1].
            painted: (N, 3, H, W) the same frames made of patches of the style.
            statistics: (N, STATISTICS) of the style.

        Returns:
            (N, 3, H, W), not clamped.
        """
        dtype = self.frame.weight.dtype
        frame, painting = (
            functional.pixel_unshuffle(picture.to(dtype), CELL) for picture in (recoloured, painted)
        )
        told = self.pyramid(self.frame(frame) + self.painting(painting), statistics.to(dtype))
        # What follows keeps the precision of the pictures, whatever the network computes in.
        share, strokes, edges, light = functional.pixel_shuffle(told, CELL).float().chunk(4, 1)
        smooth, smooth_painting = box_mean(recoloured, _SMOOTH), box_mean(painted, _SMOOTH)
        joined: Tensor = torch.lerp(smooth, smooth_painting, share.sigmoid())
        joined = joined + _MOST * strokes.sigmoid() * (painted - smooth_painting)
        return joined + _MOST * edges.sigmoid() * (recoloured - smooth) + light
