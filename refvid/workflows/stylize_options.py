"""What can be asked of `refvid stylize`. Imports no torch, so that wrong options fail at once."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from refvid.errors import OptionError
from refvid.workflows.rebuild_options import RebuildOptions

SMALLEST_SCALE, LARGEST_SCALE = 0.25, 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleSource:
    """An image whose colours, strokes and texture the clip shall have."""

    image: Path
    weight: float = 1.0
    """Its share among several; only the ratios count."""

    def __post_init__(self) -> None:
        # Up to here ratios are numbers that any precision can hold.
        if not 1e-6 <= self.weight <= 1e6:
            raise OptionError(
                f"The weight of the style {self.image} must be above 0, and no more than a "
                f"million, not {self.weight:g}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyframeSource:
    """A frame of the clip that the user has painted: exactly one of `frame` and `time` is set."""

    image: Path
    frame: int | None = None
    """Which frame, counted from 0 over the whole file (not the trimmed range)."""

    time: Fraction | None = None
    """The frame shown at this time [s], counted from the video's first frame."""

    def __post_init__(self) -> None:
        if (self.frame is None) == (self.time is None):
            raise OptionError("A keyframe needs the number or the time of its frame.")
        if (self.frame or 0) < 0 or (self.time or 0) < 0:
            raise OptionError("A keyframe's number or time counts from 0 and is not negative.")

    @property
    def place(self) -> str:
        """In words, e.g. `frame 12` or `1.5 s`."""
        return f"frame {self.frame}" if self.time is None else f"{float(self.time):g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class StylizeOptions(RebuildOptions):
    """One run of `refvid stylize` on one input. Nothing in it is random."""

    styles: tuple[StyleSource, ...] = ()
    """None is needed where keyframes are given: then the painted frames are the style."""

    keyframes: tuple[KeyframeSource, ...] = ()
    style_scale: float = 1.0
    """Size of the strokes: that of the style image, as a multiple of the frame's size."""

    preserve_color: bool = False
    """Keep the colours of the input, and take only lightness from the result."""

    def __post_init__(self) -> None:
        # By name: dataclasses with slots are made twice, and super() knows only the first.
        RebuildOptions.__post_init__(self)
        if not self.styles and not self.keyframes:
            raise OptionError("There is no style: give a style image or a painted keyframe.")
        if not SMALLEST_SCALE <= self.style_scale <= LARGEST_SCALE:
            raise OptionError(
                f"The style's scale must be from {SMALLEST_SCALE:g} to {LARGEST_SCALE:g}, "
                f"not {self.style_scale:g}."
            )

    @property
    def images(self) -> tuple[Path, ...]:
        """All files that are read beside the input."""
        return (*(s.image for s in self.styles), *(k.image for k in self.keyframes))
