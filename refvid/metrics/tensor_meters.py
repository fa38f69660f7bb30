"""The measures that need torch: some compute with tensors, some have networks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import cast

import numpy as np
from torch import Tensor

from refvid.device import choose_device
from refvid.errors import CheckpointUnavailable
from refvid.media.pixel_conversion import Pixels, to_uint8
from refvid.metrics.ffmpeg_ssim import ssim_ffmpeg
from refvid.metrics.frames import FramePair
from refvid.metrics.meters import Meter
from refvid.metrics.perceptual import Features, Lpips, load_lpips
from refvid.metrics.semantic import ClipEncoder, consistency, load_clip
from refvid.metrics.ssim import ms_ssim, ssim
from refvid.metrics.st_lpips import load_st_lpips
from refvid.metrics.temporal import change_error, frame_motion, frame_warping_error
from refvid.models.matching import TOKEN

logger = logging.getLogger(__name__)


def load_tensor_meters(
    names: Sequence[str], device: str, *, only_available: bool
) -> dict[str, Meter]:
    """Do what `load_meters` does, for all but PSNR; measures that load nothing come unasked."""
    meters: dict[str, Meter] = {
        "ssim": lambda pair, _: ssim(pair.distorted, pair.clean, pair.mask),
        "ssim_ffmpeg": lambda pair, _: ssim_ffmpeg(pair.distorted, pair.clean, pair.mask),
        "ms_ssim": lambda pair, _: ms_ssim(pair.distorted, pair.clean, pair.mask),
        "flicker": _flicker,
        "warping_error": _warping_error,
    }
    for load in (_load_perceptual, _load_st_lpips, _load_consistency):
        try:
            meters |= load(names, device)
        except CheckpointUnavailable as error:
            if not only_available:
                raise
            logger.warning("Left out: %s", error)
    return meters


def _load_perceptual(names: Sequence[str], device: str) -> dict[str, Meter]:
    if not {"lpips", "temporal_lpips"} & set(names):
        return {}
    perceptual = _Perceptual(load_lpips(choose_device(device)))
    return {"lpips": perceptual.distance, "temporal_lpips": perceptual.change}


def _load_st_lpips(names: Sequence[str], device: str) -> dict[str, Meter]:
    if "st_lpips" not in names:
        return {}
    return {"st_lpips": _Perceptual(load_st_lpips(choose_device(device))).distance}


def _load_consistency(names: Sequence[str], device: str) -> dict[str, Meter]:
    if "clip_consistency" not in names:
        return {}
    return {"clip_consistency": _Consistency(load_clip(choose_device(device)))}


class _Perceptual:
    """LPIPS or ST-LPIPS of frames, and of how they change; every frame is looked at once."""

    def __init__(self, network: Lpips) -> None:
        self._network = network
        # The last two pairs: their distorted and clean frames' features.
        self._known: list[tuple[FramePair, Features, Features]] = []

    def distance(self, pair: FramePair, _: FramePair | None) -> float:
        return self._network.distance(*self._features(pair), pair.mask)

    def change(self, pair: FramePair, before: FramePair | None) -> float | None:
        """Temporal LPIPS (Chu et al. 2020): does the picture change as much as the clean one?"""
        if before is None:
            return None
        earlier, clean_earlier = self._features(before)
        now, clean_now = self._features(pair)
        changed = self._network.distance(now, earlier, pair.mask)
        return abs(changed - self._network.distance(clean_now, clean_earlier, pair.mask))

    def _features(self, pair: FramePair) -> tuple[Features, Features]:
        for known, distorted, clean in self._known:
            if known is pair:
                return distorted, clean
        distorted, clean = (self._network.features(p) for p in (pair.distorted, pair.clean))
        self._known = [*self._known[-1:], (pair, distorted, clean)]
        return distorted, clean


class _Consistency:
    """CLIP's view of neighbouring frames; every frame is looked at once."""

    def __init__(self, encoder: ClipEncoder) -> None:
        self._encoder = encoder
        self._last: tuple[FramePair, Tensor] | None = None

    def __call__(self, pair: FramePair, before: FramePair | None) -> float | None:
        embedding = self._encoder.embed(to_uint8(pair.distorted))
        last, self._last = self._last, (pair, embedding)
        # Frames of the clip before do not count.
        if last is None or before is None or last[0] is not before:
            return None
        return consistency(embedding, last[1])


def _flicker(pair: FramePair, before: FramePair | None) -> float | None:
    if before is None:
        return None
    return change_error(pair.distorted, before.distorted, pair.clean, before.clean, pair.mask)


def _warping_error(pair: FramePair, before: FramePair | None) -> float | None:
    if before is None:
        return None
    motion = frame_motion(_whole_blocks(pair.clean), _whole_blocks(before.clean))
    mask = None if pair.mask is None else pair.mask[: len(pair.mask) // TOKEN * TOKEN]
    mask = None if mask is None else mask[:, : mask.shape[1] // TOKEN * TOKEN]
    now, earlier = _whole_blocks(pair.distorted), _whole_blocks(before.distorted)
    return frame_warping_error(now, earlier, motion, mask)


def _whole_blocks(pixels: Pixels) -> Pixels:
    """Leave out what is beyond the last whole block to the right and below."""
    height, width = (side // TOKEN * TOKEN for side in pixels.shape[:2])
    return cast("Pixels", np.ascontiguousarray(pixels[:height, :width]))
