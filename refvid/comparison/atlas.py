"""All candidates of a clip in one picture, so that one video shows them in step.

Two videos that play side by side in a browser drift apart by a frame or more. A page that plays a
single video and draws parts of its frame cannot show different frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from refvid.media.pixel_conversion import Pixels, to_uint8

Picture = npt.NDArray[np.uint8]
"""(H, W, 3) RGB."""

_LONGEST_SIDE = 4096
"""What the H.264 decoders of graphics chips take [pixels]."""

_GRID = 16
"""Tiles begin at multiples of it, so that no block of the codec holds two candidates [pixels]."""

_SHORTEST_TILE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Atlas:
    """Where each tile lies in the common picture."""

    tile_width: int
    """[pixels]"""

    tile_height: int
    columns: int
    rows: int

    @property
    def width(self) -> int:
        """Of the whole picture [pixels]."""
        return self.columns * _round_up(self.tile_width)

    @property
    def height(self) -> int:
        """Of the whole picture [pixels]."""
        return self.rows * _round_up(self.tile_height)

    def corner(self, tile: int) -> tuple[int, int]:
        """Left and top of a tile [pixels]."""
        row, column = divmod(tile, self.columns)
        return column * _round_up(self.tile_width), row * _round_up(self.tile_height)

    def compose(self, pictures: Sequence[Picture]) -> Picture:
        """Put pictures of tile size side by side; what is left of their cells repeats their edges.

        Args:
            pictures: (tile_height, tile_width, 3) each, in the order of the tiles.
        """
        result = np.zeros((self.height, self.width, 3), np.uint8)
        below = _round_up(self.tile_height) - self.tile_height
        beside = _round_up(self.tile_width) - self.tile_width
        for tile, picture in enumerate(pictures):
            left, top = self.corner(tile)
            # Black beside a bright edge would bleed into it where colour is stored coarsely.
            cell = np.pad(picture, ((0, below), (0, beside), (0, 0)), mode="edge")
            result[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
        return result


def plan_atlas(count: int, width: int, height: int, *, limit: int) -> Atlas:
    """Arrange tiles so that they are as large as asked for and still fit into one video.

    Args:
        count: Number of tiles.
        width: Size of the candidates [pixels]; its shape is kept, and it is never enlarged.
        height: See `width`.
        limit: Largest height of a tile [pixels].
    """
    scale = min(1.0, limit / height)
    best: Atlas | None = None
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        fits = min(
            scale,
            (_LONGEST_SIDE // columns // _GRID * _GRID) / width,
            (_LONGEST_SIDE // rows // _GRID * _GRID) / height,
        )
        atlas = Atlas(
            tile_width=max(_SHORTEST_TILE, int(width * fits + 0.5)),
            tile_height=max(_SHORTEST_TILE, int(height * fits + 0.5)),
            columns=columns,
            rows=rows,
        )
        if best is None or _merit(atlas) > _merit(best):
            best = atlas
    assert best is not None
    return best


def scale_picture(pixels: Pixels, width: int, height: int) -> Picture:
    """Resize a frame with a Lanczos filter, to 8 bits; the same array if nothing changes."""
    picture = to_uint8(pixels)
    if picture.shape[:2] == (height, width):
        return picture
    resized = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized)


def _merit(atlas: Atlas) -> tuple[int, int]:
    # Largest tiles first; then the squarest picture, for decoders with a lower limit on one side.
    return atlas.tile_height, -max(atlas.width, atlas.height)


def _round_up(pixels: int) -> int:
    return -(-pixels // _GRID) * _GRID
