"""What a clip becomes in the page: plain JSON types."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

from PIL import Image

from refvid.comparison.atlas import Atlas, Picture
from refvid.comparison.clips import Clip
from refvid.comparison.difference import common_peak, heat_picture
from refvid.comparison.measures import Curves
from refvid.comparison.survey import Moment, Survey
from refvid.media.video_info import VideoInfo


def clip_document(survey: Survey, atlas: Atlas, count: int, mime_type: str) -> dict[str, Any]:
    """What the page needs to play a clip; tells nothing about the candidates.

    Args:
        survey: Its times.
        atlas: Where the tiles are.
        count: Number of tiles.
        mime_type: Of the embedded video.
    """
    return {
        "times": [round(float(time), 6) for time in survey.times],
        "end": round(float(survey.end), 6),
        "type": mime_type,
        "width": atlas.tile_width,
        "height": atlas.tile_height,
        "corners": [list(atlas.corner(tile)) for tile in range(count)],
    }


def clip_details(
    clip: Clip,
    order: Sequence[int],
    moments: Sequence[Moment],
    measures: Sequence[Curves],
    notes: Sequence[str],
) -> dict[str, Any]:
    """What tells the candidates apart: shown at once, or after the votes.

    Args:
        clip: What was compared.
        order: Which of `clip.shown` lies on each tile.
        moments: Where they differ.
        measures: How they measure.
        notes: What the reader should know.
    """
    peak = common_peak([values for moment in moments for values in moment.maps])
    return {
        "name": clip.name,
        "sources": list(order),
        "files": [_file(info) for info in clip.shown],
        "measures": [
            {
                "key": measure.key,
                "title": measure.title,
                "unit": measure.unit,
                "digits": measure.digits,
                "higher": measure.higher_is_better,
                "curves": {
                    str(index): [plain_number(value) for value in values]
                    for index, values in measure.values.items()
                },
                "means": {
                    str(index): plain_number(value) for index, value in measure.means.items()
                },
            }
            for measure in measures
        ],
        "peak": round(peak, 1),
        "moments": [_moment(moment, peak) for moment in moments],
        "notes": list(notes),
    }


def _moment(moment: Moment, peak: float) -> dict[str, Any]:
    return {
        "frame": moment.frame,
        "picture": _jpeg(moment.overview),
        "box": [round(side, 4) for side in moment.box],
        "differences": [round(value, 2) for value in moment.differences],
        "maps": [_jpeg(heat_picture(values, peak)) for values in moment.maps],
    }


def _file(info: VideoInfo) -> dict[str, Any]:
    return {
        "name": info.path.name,
        "width": info.width,
        "height": info.height,
        "codec": info.codec,
        "bytes": None if info.is_image_sequence else info.path.stat().st_size,
    }


def plain_number(value: float) -> float | str | None:
    """Give a measure as JSON holds it: six digits, `inf` for equal pictures, null for none."""
    if math.isnan(value):
        return None
    return "inf" if math.isinf(value) else float(f"{value:.6g}")


def _jpeg(picture: Picture) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=85, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
