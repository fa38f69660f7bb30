"""Pictures for sharing: a montage (video) and a contact sheet (image)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from refvid.comparison.atlas import Picture, scale_picture
from refvid.comparison.clips import REFERENCE_LABEL, Clip, InStep
from refvid.comparison.difference import common_peak, heat_picture
from refvid.comparison.options import CompareOptions
from refvid.comparison.survey import Moment
from refvid.errors import OutputError
from refvid.media.encoding import Encoding
from refvid.media.partial_file import partial_file
from refvid.media.writer import create_video

_WIDEST_MONTAGE: Final = 7680
"""8K: what players and graphics chips still take [pixels]."""

_IN_ONE_ROW: Final = 3

_PAPER: Final = (250, 250, 250)
_INK: Final = (24, 24, 28)
_FAINT: Final = (110, 110, 118)
_MARK: Final = (255, 205, 60)
_GAP: Final = 12
_CELL_WIDTH: Final = 300
_TITLE_HEIGHT: Final = 34
_CAPTION_HEIGHT: Final = 26
_MOST_ROWS: Final = 5
_SHEET_FORMATS: Final = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def write_montage(
    clip: Clip, labels: Sequence[str], options: CompareOptions, on_frame: Callable[[], None]
) -> list[str]:
    """Write all videos side by side with their labels, and the sound of the first.

    Returns:
        Notes on what the container cannot keep.

    Raises:
        InputError: A video is damaged, or they are not in step.
        OutputError: The montage cannot be written.
    """
    assert options.montage is not None
    names = [*labels, REFERENCE_LABEL][: len(clip.shown)]
    columns = len(names) if len(names) <= _IN_ONE_ROW else -(-len(names) // 2)
    rows = -(-len(names) // columns)
    width, height = clip.display_size
    scale = min(1.0, _WIDEST_MONTAGE / (columns * width))
    # Even sizes: encoders that everybody can play store colour for two pixels at once.
    width, height = (max(2, round(side * scale / 2) * 2) for side in (width, height))
    bar = max(24, round(height * 0.05 / 2) * 2)
    bars = [_label_bar(name, width, bar) for name in names]
    like = replace(
        clip.candidates[0],
        width=columns * width,
        height=rows * (height + bar),
        sample_aspect_ratio=Fraction(1),
        rotation=0,
    )
    # Not the codec of the first: a montage is for others to see.
    codec = "vp9" if options.montage.suffix.lower() == ".webm" else "h264"
    with (
        InStep(clip.shown, options.range, options) as frames,
        create_video(
            options.montage,
            like=like,
            encoding=Encoding(codec=codec, pix_fmt="yuv420p", subtitles="none", metadata=False),
            trim=frames.trim,
            overwrite=options.overwrite,
        ) as output,
    ):
        for together in frames:
            canvas = np.zeros((like.height, like.width, 3), np.uint8)
            for index, frame in enumerate(together):
                row, column = divmod(index, columns)
                top, left = row * (height + bar), column * width
                canvas[top : top + bar, left : left + width] = bars[index]
                canvas[top + bar : top + bar + height, left : left + width] = scale_picture(
                    frame.pixels, width, height
                )
            output.write(canvas, together[0])
            on_frame()
        return list(output.plan.notes)


def write_sheet(
    output: Path, moments: Sequence[Moment], labels: Sequence[str], *, overwrite: bool
) -> None:
    """Draw a row for each frame that differs most: the frame, its map, and the place enlarged.

    Args:
        output: A PNG, JPEG or WebP file.
        moments: From `inspect_moments`, in order of time.
        labels: Of the candidates; the reference, if there is one, comes last.
        overwrite: Replace an existing file.

    Raises:
        OutputError: The sheet cannot be written.
    """
    image_format = _SHEET_FORMATS.get(output.suffix.lower())
    if image_format is None:
        raise OutputError(f"Cannot write {output}: use a name that ends in .png, .jpg or .webp.")
    strongest = sorted(moments, key=lambda moment: -max(moment.differences))[:_MOST_ROWS]
    sheet = _draw_sheet(sorted(strongest, key=lambda moment: moment.frame), labels)
    with partial_file(output, overwrite=overwrite) as partial:
        sheet.save(partial, image_format, quality=92)


def _draw_sheet(moments: Sequence[Moment], labels: Sequence[str]) -> Image.Image:
    names = [*labels, REFERENCE_LABEL][: len(moments[0].crops)]
    titles = [labels[0], "difference", *names]
    first = moments[0]
    overview_height = _scaled_height(first.overview)
    crop_height = _scaled_height(first.crops[0])
    row_height = max(overview_height, crop_height) + _CAPTION_HEIGHT + _GAP
    sheet = Image.new(
        "RGB",
        (
            _GAP + len(titles) * (_CELL_WIDTH + _GAP),
            _TITLE_HEIGHT + len(moments) * row_height + _GAP,
        ),
        _PAPER,
    )
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        font = _font(17)
        pen.text((_left_of(column), _GAP), _fitting(title, font, _CELL_WIDTH), _INK, font)
    peak = common_peak([values for moment in moments for values in moment.maps])
    for row, moment in enumerate(moments):
        _draw_row(sheet, _TITLE_HEIGHT + row * row_height, moment, peak)
    return sheet


def _draw_row(sheet: Image.Image, top: int, moment: Moment, peak: float) -> None:
    pen = ImageDraw.Draw(sheet)
    strongest = max(range(len(moment.maps)), key=lambda other: moment.differences[other])
    heat = heat_picture(moment.maps[strongest], peak)
    for column, picture in enumerate((moment.overview, heat)):
        height = _paste(sheet, picture, column, top, Image.Resampling.LANCZOS)
        left, upper, right, lower = moment.box
        x, y = _left_of(column), top
        pen.rectangle(
            (
                x + left * _CELL_WIDTH,
                y + upper * height,
                x + right * _CELL_WIDTH - 1,
                y + lower * height - 1,
            ),
            outline=_MARK,
            width=2,
        )
    for column, crop in enumerate(moment.crops, 2):
        # Pixels stay visible as such: the sheet shows what is there.
        _paste(sheet, crop, column, top, Image.Resampling.NEAREST)
    caption = f"frame {moment.frame}, {float(moment.time):.3f} s"
    pen.text((_left_of(0), top + height + 4), caption, _FAINT, _font(14))
    text = f"mean {moment.differences[strongest]:.2f}, bright is {peak:.0f} of 255"
    pen.text((_left_of(1), top + height + 4), text, _FAINT, _font(14))


def _paste(
    sheet: Image.Image, picture: Picture, column: int, top: int, filter_: Image.Resampling
) -> int:
    height = _scaled_height(picture)
    cell = Image.fromarray(picture).resize((_CELL_WIDTH, height), filter_)
    sheet.paste(cell, (_left_of(column), top))
    return height


def _left_of(column: int) -> int:
    return _GAP + column * (_CELL_WIDTH + _GAP)


def _scaled_height(picture: Picture) -> int:
    height, width, _ = picture.shape
    return max(1, int(height * _CELL_WIDTH / width + 0.5))


def _label_bar(name: str, width: int, height: int) -> Picture:
    """A label as a strip that goes above a picture."""
    bar = Image.new("RGB", (width, height), _INK)
    font = _font(round(height * 0.62))
    text = _fitting(name, font, width - height)
    ImageDraw.Draw(bar).text((width / 2, height / 2), text, _PAPER, font, anchor="mm")
    return np.asarray(bar)


def _font(size: int) -> _Font:
    return ImageFont.load_default(size)


def _fitting(text: str, font: _Font, width: int) -> str:
    """Shorten a text to a width [pixels]."""
    # What no font can draw (file names may hold any bytes) must not stop the work.
    text = text.encode(errors="replace").decode()
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
