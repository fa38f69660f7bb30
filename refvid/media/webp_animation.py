"""Animated WebP, which libav does not decode: Pillow gives its pictures one after another."""

from __future__ import annotations

from collections.abc import Callable, Generator
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np
from av.stream import Disposition
from PIL import Image

from refvid.errors import InputError
from refvid.media.color import MATRIX_RGB, RANGE_FULL, ColorInfo
from refvid.media.container import input_errors
from refvid.media.decoding import Picture, cut_off
from refvid.media.file_kind import webp_durations
from refvid.media.image import DAMAGE
from refvid.media.pixel_conversion import Pixels
from refvid.media.tracks import Companions
from refvid.media.video_info import VideoInfo

_MILLISECOND: Final = Fraction(1, 1000)
_SHORTEST_MS: Final = 11
_USUAL_MS: Final = 100
_MOST_PIXELS: Final = 2**25
"""A picture of 8K has no more. Few bytes can claim to be a large one."""

_MOST_BYTES: Final = 2**29
"""Pillow holds the whole file."""

_BACKGROUND: Final = (128, 128, 128, 255)
"""Mid-grey, as for single images."""


def describe_webp(path: Path) -> VideoInfo:
    """Describe an animated WebP from its header.

    Raises:
        InputError: It is damaged, cut off or too large.
    """
    with input_errors(path):
        durations = _durations(path)
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(30)
    lacking = 8 + int.from_bytes(head[4:8], "little") - size
    if lacking > 0:
        raise cut_off(path, lacking)
    width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
    if width * height > _MOST_PIXELS or size > _MOST_BYTES:
        raise InputError(f"{path} is too large ({width}x{height}, {size} bytes). Make it smaller.")
    length = sum(durations) * _MILLISECOND
    return VideoInfo(
        path=path,
        container="webp animation",
        codec="webp",
        pix_fmt="rgba" if head[20] & 0x10 else "rgb24",
        bit_depth=8,
        width=width,
        height=height,
        rotation=0,
        sample_aspect_ratio=Fraction(1),
        frame_rate=(len(durations) / length).limit_denominator(1001),
        is_variable_rate=max(durations) - min(durations) > 1,
        time_base=_MILLISECOND,
        duration=length,
        frame_count=len(durations),
        frame_count_is_exact=True,
        color=ColorInfo(matrix=MATRIX_RGB, range=RANGE_FULL),
        metadata={},
        has_alpha=bool(head[20] & 0x10),
        companions=Companions(tracks=(), chapters=(), tags={}, disposition=Disposition(0)),
    )


def webp_pictures(info: VideoInfo) -> Generator[Picture, None, None]:
    """Decode an animated WebP picture by picture.

    Raises:
        InputError: It is damaged.
    """
    with input_errors(info.path):
        durations = _durations(info.path)
        starts = accumulate(durations, initial=0)
        with Image.open(info.path, formats=("WEBP",)) as animation:
            for index, (start, duration) in enumerate(zip(starts, durations, strict=False)):
                try:
                    animation.seek(index)
                    # A copy, as the next one takes its place.
                    picture = animation.convert("RGBA")
                except DAMAGE as error:
                    raise InputError(
                        f"Cannot read picture {index + 1} of {len(durations)} of {info.path}: "
                        "the file is damaged."
                    ) from error
                load = _flattened(picture)
                yield Picture(index=index, pts=start, duration=duration, load=load)


def _flattened(picture: Image.Image) -> Callable[[], Pixels]:
    """Return what lays a picture on its background."""

    def load() -> Pixels:
        background = Image.new("RGBA", picture.size, _BACKGROUND)
        background.alpha_composite(picture)
        return np.array(background.convert("RGB"))

    return load


def _durations(path: Path) -> list[int]:
    """How long each picture is shown [ms], as browsers do: what is hardly seen, for 100 ms."""
    with path.open("rb") as file:
        return [
            duration if duration >= _SHORTEST_MS else _USUAL_MS for duration in webp_durations(file)
        ]
