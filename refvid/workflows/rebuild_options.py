"""What can be asked of every command that rebuilds a video: `enhance` and `stylize`.

Imports no torch, so that wrong options fail at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from refvid.errors import OptionError
from refvid.media.encoding import Encoding


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRange:
    """Which part of a video to work on; times count from its first frame's timestamp [s]."""

    start: Fraction | int | None = None
    """A time [s] as Fraction, or a frame index as int; None is the beginning."""

    end: Fraction | int | None = None
    """First moment or frame that is left out; None is the end."""

    frames: int | None = None
    """At most so many frames."""

    def __post_init__(self) -> None:
        if (self.start or 0) < 0 or (self.end or 0) < 0:
            raise OptionError("A range counts from 0: its start and end are not negative.")
        if self.frames is not None and self.frames < 1:
            raise OptionError(f"The number of frames must be at least 1, not {self.frames}.")
        if (
            self.end is not None
            and isinstance(self.start or 0, int) == isinstance(self.end, int)
            and self.end <= (self.start or 0)
        ) or self.end == 0:
            raise OptionError(f"The range is empty: it ends ({self.end}) before it starts.")

    def count_frames(self, total: int | None, rate: Fraction | None) -> int | None:
        """Number of frames in the range, estimated where it is given as times.

        Args:
            total: Frames of the whole video; None is unknown.
            rate: Average frames per second; None is unknown.

        Returns:
            None where nothing bounds it.
        """
        start = _to_index(self.start, rate)
        bounds = [
            bound
            for bound in (total, None if self.end is None else _to_index(self.end, rate))
            if bound is not None
        ]
        if start is None or not bounds:
            return None
        count = max(min(bounds) - start, 0)
        return count if self.frames is None else min(count, self.frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Which model runs, where and how."""

    model: str = "auto"
    """auto, mini, wan2.1, videovae+, or the path of a file with weights or of a folder with one."""

    weights: Path | None = None
    """A file with weights for that model; with auto, its contents tell which model it is."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:N, mps or xpu[:N]."""

    dtype: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    chunk: int | None = None
    """Frames per model call; None lets the backbone choose."""

    tile: int | Literal["auto", "off"] = "auto"
    """Side of the spatial windows [pixels]."""

    memory: int | None = None
    """What the model's work may take [bytes]; None is what is free."""

    chunking: Literal["carry", "independent"] = "carry"
    """Whether chunks are joined (wan2.1 carries its causal state from one to the next, those of
    videovae+ overlap), or each is decoded alone as the published inference scripts do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildOptions:
    """One run on one input, whatever the decoder is conditioned on."""

    source: Path
    """A video file, or a folder / pattern such as `shot_%04d.png` of an image sequence."""

    output: Path
    """Final path: a video file, or an image pattern `out_%04d.png`."""

    range: FrameRange = FrameRange()
    strength: float = 1.0
    """0 gives the input back, 1 the model's full result; blended in pixels."""

    cut_detection: bool = True
    """Reset the causal state at shot cuts."""

    hdr: Literal["refuse", "passthrough"] = "refuse"
    """What to do with PQ and HLG video."""

    sequence_rate: Fraction | None = None
    """Frame rate for image-sequence inputs; None is 24."""

    overwrite: bool = False
    encoding: Encoding = Encoding()  # noqa: RUF009 - frozen
    model: ModelOptions = ModelOptions()

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise OptionError(f"The strength must be from 0 to 1, not {self.strength}.")


def _to_index(position: Fraction | int | None, rate: Fraction | None) -> int | None:
    if position is None:
        return 0
    if isinstance(position, int):
        return position
    if rate is None:
        return None
    # The first frame at or after this time.
    return -int(-position * rate // 1)
