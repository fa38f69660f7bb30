"""How the model sees a video: as large as its result will be, and coded as SDR is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from refvid.media.color import ColorInfo
from refvid.media.domain import SRGB, Domain, bring_to_srgb
from refvid.media.pixel_conversion import to_uint8
from refvid.rebuild.pixels import Pixels, clip_to_frames, enlarge, frames_to_clip


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """Takes frames of a video to the model, and brings back what it made of them."""

    size: tuple[int, int]
    """Width and height of the result [pixels]."""

    domain: Domain | None = None
    """Of HDR and wide gamuts; None: the model takes the video's code values as they are."""

    def to_clip(self, frames: Sequence[Pixels], device: torch.device) -> Tensor:
        """Frames (h, w, 3) of the video -> a clip (1, 3, T, H, W) in [-1, 1] for the model."""
        seen = [self.to_domain(frame) for frame in frames]
        return enlarge(frames_to_clip(seen, device), self.size)

    def to_frames(self, clip: Tensor, dtype: np.dtype[Any]) -> Pixels:
        """(1, 3, T, H, W) -> frames (T, H, W, 3) uint8 or uint16 of the result."""
        if self.domain is None or not self.domain.is_hdr:
            return clip_to_frames(clip, dtype)
        frames = self.domain.give(clip_to_frames(clip, np.uint16))
        return to_uint8(frames) if dtype == np.uint8 else frames

    def to_domain(self, frame: Pixels) -> Pixels:
        """A frame (h, w, 3) of the video -> the same as the model sees it, but for its size."""
        return frame if self.domain is None else self.domain.take(frame)

    def to_picture(self, frame: Pixels) -> Pixels:
        """A frame (h, w, 3) of the video -> the same (H, W, 3) as the model sees it."""
        seen = self.to_domain(frame)
        if not self.enlarges(seen):
            return seen
        clip = enlarge(frames_to_clip([seen], torch.device("cpu")), self.size)
        picture: Pixels = clip_to_frames(clip, seen.dtype)[0]
        return picture

    def bring(self, picture: Pixels, color: ColorInfo | None = None) -> Pixels:
        """A picture (h, w, 3) from elsewhere, of these colours or in sRGB -> the same as the model
        sees such a video; its size stays.
        """
        if self.domain is not None:
            return self.domain.bring(picture, color or SRGB)
        return picture if color is None else bring_to_srgb(picture, color)

    def enlargement_of(self, size: tuple[int, int]) -> float:
        """How many times as large the result is as frames of a width and height, along a line."""
        return max(1.0, *(mine / theirs for mine, theirs in zip(self.size, size, strict=True)))

    def enlarges(self, frame: Pixels) -> bool:
        """Whether a frame (h, w, 3) is not yet as large as the result."""
        return frame.shape[:2] != self.size[::-1]
