"""What a decoder gives back of held-out clips, by distance from the reference."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refvid.media.pixel_conversion import to_uint8
from refvid.media.reader import open_video
from refvid.metrics.psnr import psnr
from refvid.metrics.ssim import ssim
from refvid.rebuild.pixels import clip_to_frames, frames_to_clip
from refvid.training.batch import Batch
from refvid.training.clips import CLIP_SUFFIXES

Frames = NDArray[np.uint8]
"""(T, H, W, 3) RGB."""

LENGTH = 16
"""Frames of each clip, decoded in one call."""

DISTANCES = ((0, 0), (1, 4), (5, 8), (9, 12), (13, 15))
"""Frames from the reference, first and last of each group."""

RANDOM_DRAWS = 2
"""Random reference frames of each clip; every model gets the same ones."""


@dataclass(frozen=True, slots=True)
class HeldOutClip:
    """Whole frames, and the window of them that is decoded: the references stay whole."""

    name: str
    frames: Frames
    top: int
    left: int
    side: int

    @property
    def window(self) -> Frames:
        """What is decoded of the frames: (T, side, side, 3)."""
        rows = slice(self.top, self.top + self.side)
        return self.frames[:, rows, self.left : self.left + self.side]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameScore:
    """One decoded frame."""

    clip: str
    frame: int
    reference: int
    psnr: float
    """[dB]"""

    ssim: float

    @property
    def distance(self) -> int:
        return abs(self.frame - self.reference)


def held_out_clips(folder: Path, side: int) -> list[HeldOutClip]:
    """The first frames of every video, with a window in their middle."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in CLIP_SUFFIXES)
    clips = []
    for path in paths:
        with open_video(path) as video:
            frames = np.stack([to_uint8(frame.pixels) for frame in islice(video, LENGTH)])
        height, width = (size // 8 * 8 for size in frames.shape[1:3])
        top, left = (height - side) // 16 * 8, (width - side) // 16 * 8
        clips.append(HeldOutClip(path.stem, frames[:, :height, :width], top, left, side))
    return clips


def first_references(_clip: HeldOutClip) -> list[int]:
    return [0]


def random_references(clip: HeldOutClip) -> list[int]:
    return random.Random(clip.name).sample(range(1, LENGTH), RANDOM_DRAWS)


@torch.no_grad()
def measure(
    decode: Callable[[Batch], Tensor],
    clips: Sequence[HeldOutClip],
    references: Callable[[HeldOutClip], list[int]] = first_references,
) -> list[FrameScore]:
    """Decode every clip once for each of its references, and compare frame by frame."""
    scores = []
    for clip in clips:
        clean = clip.window
        target = frames_to_clip(list(clean), torch.device("cpu"))
        for reference in references(clip):
            batch = Batch(
                clip=target,
                target=target,
                reference=frames_to_clip([clip.frames[reference]], target.device)[:, :, 0],
                origin=torch.tensor([[clip.top, clip.left]]),
            )
            rebuilt = clip_to_frames(decode(batch), np.uint8)
            scores += [
                FrameScore(
                    clip=clip.name,
                    frame=index,
                    reference=reference,
                    psnr=psnr(rebuilt[index], clean[index]),
                    ssim=ssim(rebuilt[index], clean[index]),
                )
                for index in range(LENGTH)
            ]
    return scores


def summary(scores: Sequence[FrameScore]) -> dict[str, Any]:
    """Means over frames, then over clips: of all frames, by distance, and by clip.

    Distances that no reference has are left out.
    """
    groups = {
        f"{low}-{high}": found
        for low, high in DISTANCES
        if (found := [s for s in scores if low <= s.distance <= high])
    }
    return {
        "psnr": _mean(scores, "psnr"),
        "ssim": _mean(scores, "ssim"),
        "first_frame_psnr": _mean([s for s in scores if s.frame == 0], "psnr"),
        "psnr_by_distance": {name: _mean(found, "psnr") for name, found in groups.items()},
        "ssim_by_distance": {name: _mean(found, "ssim") for name, found in groups.items()},
        "psnr_by_clip": _by_clip(scores, "psnr"),
        "frames": [asdict(s) for s in scores],
    }


def _mean(scores: Sequence[FrameScore], what: str) -> float:
    return fmean(_by_clip(scores, what).values())


def _by_clip(scores: Sequence[FrameScore], what: str) -> dict[str, float]:
    clips = dict.fromkeys(score.clip for score in scores)
    return {clip: fmean(getattr(s, what) for s in scores if s.clip == clip) for clip in clips}
