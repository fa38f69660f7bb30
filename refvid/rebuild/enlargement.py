"""How much larger than its input a result is.

Imports no torch, so that wrong wishes fail at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt
from typing import Final

from refvid.errors import OptionError
from refvid.media.color import resolve_color
from refvid.media.container import MOST_PIXELS
from refvid.media.video_info import VideoInfo

FACTORS: Final = (2, 3, 4)
_LARGEST_SIDE: Final = 16384
"""Encoders take no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enlargement:
    """A wish for a larger result: none of the fields, or one of them."""

    scale: int | None = None
    """Both sides, times this."""

    size: tuple[int, int] | None = None
    """Width and height [pixels]."""

    lines: int | None = None
    """The shorter side, as in `1080p` [pixels]; the other follows, to an even number."""

    def __post_init__(self) -> None:
        if [self.scale, self.size, self.lines].count(None) < 2:
            raise OptionError("A result is enlarged by a scale or to a size, not by both.")
        if self.scale is not None and self.scale not in FACTORS:
            raise OptionError(f"The scale must be 2, 3 or 4, not {self.scale}.")
        sides = self.size or (self.lines or 1,)
        if min(sides) < 1 or max(sides) > _LARGEST_SIDE:
            raise OptionError(f"A size has from 1 to {_LARGEST_SIDE} pixels a side.")

    def __bool__(self) -> bool:
        return self != Enlargement()

    def describe(self) -> str:
        """Say it in words, e.g. `scale 2`; empty where nothing is asked."""
        if self.scale is not None:
            return f"scale {self.scale}"
        if self.size is not None:
            return f"size {self.size[0]}x{self.size[1]}"
        return "" if self.lines is None else f"size {self.lines}p"

    def size_of(self, width: int, height: int, name: str = "the frames") -> tuple[int, int]:
        """Width and height of the result for frames of a size [pixels].

        Raises:
            OptionError: That is smaller than the frames, or larger than videos can be; it begins
                with `name`, what the frames are of.
        """
        wide, tall = self._sides(width, height)
        if wide < width or tall < height:
            raise OptionError(
                f"{name}: {self.describe()} would shrink {width}x{height} to {wide}x{tall}. "
                "Results can be made larger, not smaller: give a larger size, or none."
            )
        if wide * tall > MOST_PIXELS:
            side = isqrt(MOST_PIXELS)
            raise OptionError(
                f"{name}: {wide}x{tall} is too large for a video. Choose a size of up to "
                f"{side}x{side} pixels."
            )
        return wide, tall

    def _sides(self, width: int, height: int) -> tuple[int, int]:
        if self.scale is not None:
            return self.scale * width, self.scale * height
        if self.lines is None:
            return self.size or (width, height)
        shorter, longer = sorted((width, height))
        other = round(Fraction(self.lines * longer, 2 * shorter)) * 2
        return (other, self.lines) if width >= height else (self.lines, other)

    def apply(self, info: VideoInfo) -> VideoInfo:
        """A video as if its pictures were so large: for whoever writes them so.

        What is shown keeps its shape: where the sides grow by different factors, the pixels' shape
        changes. Lines that are interpolated belong to no field: nothing is interlaced any more.

        Raises:
            OptionError: See `size_of`.
        """
        width, height = self.size_of(*info.size, name=str(info.path))
        if (width, height) == info.size:
            return info
        stretched = Fraction(info.width * height, info.height * width)
        is_rounding = abs(width - width * stretched) <= 1 or abs(height - height / stretched) <= 1
        return replace(
            info,
            width=width,
            height=height,
            sample_aspect_ratio=info.sample_aspect_ratio * (1 if is_rounding else stretched),
            # By its own number of lines: an untagged video does not become another one.
            color=resolve_color(info.color, info.coded_height),
            fields=info.fields if height == info.height else None,
        )

    def notes(self, info: VideoInfo, larger: VideoInfo) -> list[str]:
        """Tell the user what `apply` made of a video."""
        if larger.size == info.size:
            return []
        width, height = larger.size
        notes = [f"enlarged from {info.width}x{info.height} to {width}x{height}"]
        if larger.sample_aspect_ratio != info.sample_aspect_ratio:
            aspect = larger.sample_aspect_ratio
            pixels = "square" if aspect == 1 else f"{aspect} as wide as they are high"
            notes.append(
                f"{width}x{height} has another shape than {info.width}x{info.height}: so that "
                f"nothing looks stretched, pixels become {pixels}; "
                f"--size {min(larger.size)}p keeps their shape"
            )
        if info.fields is not None and larger.fields is None:
            notes.append(
                "the video is interlaced: enlarged, both fields stay woven into its frames for "
                "good, and it is not marked so any more; deinterlace it first"
            )
        return notes
