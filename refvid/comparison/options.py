"""One run of `refvid compare`."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from refvid.errors import OptionError
from refvid.media.frame_range import FrameRange
from refvid.metrics.options import DEFAULT_MEASURES
from refvid.wording import counted

LARGEST_PREVIEW = 2160
"""Height of the candidates in the page [pixels]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """What is compared, and what is written."""

    sources: tuple[Path, ...]
    """Two or more candidates: videos or image sequences, or folders of videos with equal names."""

    page: Path | None = None
    montage: Path | None = None
    """A video of all candidates side by side."""

    sheet: Path | None = None
    """A picture of the frames and places that differ most."""

    reference: Path | None = None
    """The clean original, or a folder of originals: candidates are measured against it. None
    measures against the first candidate."""

    labels: tuple[str, ...] = ()
    """One per candidate; none are taken from the names."""

    measures: tuple[str, ...] = DEFAULT_MEASURES
    """Names out of `refvid.metrics.catalog.MEASURES`, for the page; may be empty."""

    blind: bool = False
    seed: int | None = None
    """What the sides of a blind page are drawn from; None draws anew each time."""

    range: FrameRange = field(default_factory=FrameRange)
    excerpts: tuple[Path, ...] = ()
    """Those of the sources that hold the part alone: they are read from their beginning."""

    sequence_rate: Fraction | None = None
    preview_height: int = 720
    """Largest height of a candidate in the page [pixels]."""

    preview_codec: Literal["h264", "vp9"] = "h264"
    overwrite: bool = False

    def __post_init__(self) -> None:
        if len(self.sources) < 2:
            raise OptionError("compare needs at least two videos")
        if self.labels and len(self.labels) != len(self.sources):
            raise OptionError(
                f"{counted(len(self.labels), 'label')} for {len(self.sources)} videos: "
                "give one for each"
            )
        if any(not label.strip() for label in self.labels):
            raise OptionError("a label must not be empty")
        if len(set(self.labels)) != len(self.labels):
            raise OptionError("two videos have the same label")
        if self.page is None and self.montage is None and self.sheet is None:
            raise OptionError("nothing to write: give a page, a montage or a sheet")
        if self.page is not None and self.page.suffix.lower() not in (".html", ".htm"):
            raise OptionError(
                f"the page is an .html file, not {self.page}; a video of all side by side is "
                "--montage, a picture --sheet"
            )
        if self.preview_codec not in ("h264", "vp9"):
            raise OptionError(f"previews are h264 or vp9, not {self.preview_codec!r}")
        if self.blind and self.page is None:
            raise OptionError("blind voting needs a page")
        if not 64 <= self.preview_height <= LARGEST_PREVIEW:
            raise OptionError(
                f"the height of previews must be 64 to {LARGEST_PREVIEW} pixels, "
                f"not {self.preview_height}"
            )

    @property
    def outputs(self) -> dict[str, Path]:
        """page, montage and sheet: those that are asked for."""
        named = {"page": self.page, "montage": self.montage, "sheet": self.sheet}
        return {kind: path for kind, path in named.items() if path is not None}
