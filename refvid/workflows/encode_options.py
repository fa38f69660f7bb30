"""What can be asked of `refvid encode`. Imports no torch, so that wrong options fail at once."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from refvid.errors import OptionError
from refvid.workflows.rebuild_options import FrameRange, ModelOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """One run of `refvid encode` on one input."""

    source: Path
    """A video file, or a folder / pattern such as `shot_%04d.png` of an image sequence."""

    output: Path
    """A .safetensors file."""

    range: FrameRange = FrameRange()  # noqa: RUF009 - frozen
    hdr: Literal["refuse", "passthrough"] = "refuse"
    """What to do with PQ and HLG video."""

    sequence_rate: Fraction | None = None
    """Frame rate for image-sequence inputs; None is 24."""

    overwrite: bool = False
    model: ModelOptions = ModelOptions()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        # Empty: this is a template, and each job puts in its own.
        if self.output.name and self.output.suffix.lower() != ".safetensors":
            raise OptionError(
                f"Latents are written as .safetensors, not as {self.output.suffix or 'that'}: "
                f"{self.output}."
            )
