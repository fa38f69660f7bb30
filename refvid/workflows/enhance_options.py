"""What can be asked of `refvid enhance`. Imports no torch, so that wrong options fail at once."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from refvid.errors import OptionError
from refvid.workflows.rebuild_options import RebuildOptions

ReferenceFit = Literal["cover", "contain", "stretch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSource:
    """Where the reference comes from: exactly one field is set."""

    image: Path | None = None
    """An image file."""

    frame: int | None = None
    """A frame of the input, counted from 0 over the whole file (not the trimmed range)."""

    time: Fraction | None = None
    """The frame of the input shown at this time [s], counted from the video's first frame."""

    def __post_init__(self) -> None:
        if [self.image, self.frame, self.time].count(None) != 2:
            raise OptionError("A reference is an image, a frame or a time: give exactly one.")
        if (self.frame or 0) < 0 or (self.time or 0) < 0:
            raise OptionError("A reference's frame or time counts from 0 and is not negative.")

    def describe(self) -> str:
        """Say it in words, e.g. `frame 0 of the input`."""
        if self.image is not None:
            return str(self.image)
        if self.frame is not None:
            return f"frame {self.frame} of the input"
        assert self.time is not None, "checked in __post_init__"
        return f"the input's frame at {float(self.time):g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnhanceOptions(RebuildOptions):
    """One run of `refvid enhance` on one input."""

    reference: ReferenceSource | None = None
    """None decodes without a reference."""

    reference_fit: ReferenceFit = "cover"

    def __post_init__(self) -> None:
        # By name: dataclasses with slots are made twice, and super() knows only the first.
        RebuildOptions.__post_init__(self)
        if self.reference_fit not in ("cover", "contain", "stretch"):
            raise OptionError(
                f"A reference is fitted by cover, contain or stretch, not {self.reference_fit!r}."
            )
