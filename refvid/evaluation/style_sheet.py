"""A contact sheet: a row for each clip, with its frame, the styles, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""

_PAPER = (250, 250, 250)
_INK = (24, 24, 28)
_GAP = 10
_CELL = (448, 300)
"""Most width and height of a frame: strokes show at the size at which the sheet is looked at."""

_THUMBNAIL = (130, 300)
_CAPTION_HEIGHT = 24


@dataclass(frozen=True, slots=True)
class SheetCell:
    """One style and its result."""

    name: str
    style: Picture
    output: Picture


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One clip."""

    name: str
    frame: Picture
    cells: tuple[SheetCell, ...]


def draw_sheet(rows: Sequence[SheetRow]) -> Picture:
    """Lay the rows out; frames of other sizes are fitted into cells of one size."""
    columns = max(len(row.cells) for row in rows)
    width = 2 * _GAP + _CELL[0] + columns * (_THUMBNAIL[0] + _CELL[0] + 2 * _GAP)
    heights = [_row_height(row) for row in rows]
    sheet = Image.new("RGB", (width, sum(heights) + _GAP), _PAPER)
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        left = _GAP
        _paste(sheet, row.frame, row.name, (left, top), _CELL)
        left += _CELL[0] + _GAP
        for cell in row.cells:
            _paste(sheet, cell.style, cell.name, (left, top), _THUMBNAIL)
            left += _THUMBNAIL[0] + _GAP
            _paste(sheet, cell.output, "", (left, top), _CELL)
            left += _CELL[0] + _GAP
        top += height
    return np.asarray(sheet)


def _row_height(row: SheetRow) -> int:
    pictures = [_fitted_size(row.frame, _CELL)]
    for cell in row.cells:
        pictures += [_fitted_size(cell.style, _THUMBNAIL), _fitted_size(cell.output, _CELL)]
    return max(height for _, height in pictures) + _CAPTION_HEIGHT + _GAP


def _paste(
    sheet: Image.Image,
    picture: Picture,
    caption: str,
    corner: tuple[int, int],
    box: tuple[int, int],
) -> None:
    width, height = _fitted_size(picture, box)
    small = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
    sheet.paste(small, corner)
    font = ImageFont.load_default(14)
    # What no font can draw (file names may hold any bytes) must not stop the work.
    text = caption.encode(errors="replace").decode()
    while text and font.getlength(text) > box[0]:
        text = text[:-1]
    ImageDraw.Draw(sheet).text((corner[0], corner[1] + height + 4), text, _INK, font)


def _fitted_size(picture: Picture, box: tuple[int, int]) -> tuple[int, int]:
    """Largest width and height of the picture's proportions within a box, not enlarged."""
    height, width = picture.shape[:2]
    factor = min(box[0] / width, box[1] / height, 1.0)
    return max(round(width * factor), 1), max(round(height * factor), 1)
