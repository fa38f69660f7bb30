"""What a user may say about a file of latents. Imports no torch, so wrong words fail at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from refvid.documents import shown
from refvid.errors import OptionError

Layout = Literal["bcthw", "btchw", "cthw", "tchw"]
LAYOUTS: Final = ("bcthw", "btchw", "cthw", "tchw")
"""b batch, c channels, t time, h height, w width."""

Scale = Literal["raw", "normalized"]
SCALES: Final = ("raw", "normalized")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentWishes:
    """What the user says about a file; None lets the file speak."""

    key: str | None = None
    layout: Layout | None = None
    scale: Scale | None = None
    backbone: str | None = None
    """The model that is to decode it: whose latents they are, where nothing else tells."""

    item: int | None = None
    """Which of several videos in one tensor."""

    drop: int = 0
    """Latent frames to leave out at the start, such as the reference latents of VACE."""

    def __post_init__(self) -> None:
        if self.layout is not None and self.layout not in LAYOUTS:
            raise OptionError(f"A layout is one of {', '.join(LAYOUTS)}, not {shown(self.layout)}.")
        if self.scale is not None and self.scale not in SCALES:
            raise OptionError(f"Latents are raw or normalized, not {shown(self.scale)}.")
        if self.drop < 0:
            raise OptionError(f"The number of latents to drop is not negative: {self.drop}.")
        if self.item is not None and self.item < 0:
            raise OptionError(f"The videos of a file are counted from 0: {self.item}.")
