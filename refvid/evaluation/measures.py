"""What is measured of a result: error, structure, perceived difference, stability."""

from __future__ import annotations

import importlib
import io
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from statistics import fmean

import torch
from PIL import Image

from refvid.errors import CheckpointError, OptionError
from refvid.evaluation.rebuilding import Frames, Picture
from refvid.metrics.catalog import MEASURES
from refvid.metrics.options import missing_packages
from refvid.metrics.perceptual import Lpips, load_lpips, lpips_distance
from refvid.metrics.psnr import psnr
from refvid.metrics.ssim import ssim
from refvid.metrics.st_lpips import load_st_lpips
from refvid.metrics.temporal import block_motion, flicker, warping_error

logger = logging.getLogger(__name__)

EQUAL_DB = 99.0
"""What stands for the infinite PSNR of equal pictures [dB]."""

FEW_FRAMES = (1, 6, 12, 16)
"""ST-LPIPS and SSIMULACRA2 take up to a second per frame: only these are measured."""

Compare = Callable[[Picture, Picture], float]
"""A picture and what it should be -> how they differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Mean measures of some frames against the clean ones; None where one is not to be had."""

    psnr: float
    """[dB]"""

    ssim: float
    flicker: float
    warping_error: float
    lpips: float | None = None
    st_lpips: float | None = None
    """Shift-tolerant LPIPS with AlexNet, of `FEW_FRAMES`."""

    ssimulacra2: float | None = None
    """100 where nothing is lost, of `FEW_FRAMES`."""


MEASURE_NAMES = tuple(field.name for field in fields(Scores))


def frame_psnr(frames: Frames, clean: Frames) -> tuple[float, ...]:
    """PSNR of each frame [dB], `EQUAL_DB` at most."""
    return tuple(min(psnr(a, b), EQUAL_DB) for a, b in zip(frames, clean, strict=True))


def mean_score(scores: Sequence[Scores], measure: str) -> float | None:
    """Mean of one measure; None where it was not measured."""
    values = [getattr(score, measure) for score in scores]
    known = [value for value in values if value is not None and math.isfinite(value)]
    return fmean(known) if known else None


@dataclass(frozen=True, slots=True)
class Networks:
    """Measures that need packages or weights; None where they are not to be had."""

    lpips: Compare | None = None
    st_lpips: Compare | None = None
    ssimulacra2: Compare | None = None


def load_networks(device: torch.device) -> Networks:
    """Every optional measure that can be had here; says which cannot be for lack of weights."""
    return Networks(
        lpips=_load_perceptual("lpips", load_lpips, device),
        st_lpips=_load_perceptual("st_lpips", load_st_lpips, device),
        ssimulacra2=_load_ssimulacra2(),
    )


def _load_perceptual(
    name: str, load: Callable[[torch.device], Lpips], device: torch.device
) -> Compare | None:
    measure = MEASURES[name]
    if missing_packages(measure):
        return None
    try:
        network = load(device)
    except (CheckpointError, OptionError) as error:
        logger.warning("no %s: %s", measure.label, error)
        return None
    return lambda picture, clean: lpips_distance(network, picture, clean)


def _load_ssimulacra2() -> Compare | None:
    try:
        package = importlib.import_module("ssimulacra2")
    except ImportError:
        return None

    def compare(picture: Picture, clean: Picture) -> float:
        # It reads files.
        return float(package.compute_ssimulacra2(_file(clean), _file(picture)))

    return compare


def _file(picture: Picture) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PPM")
    return file


class Judge:
    """Measures frames against a clean clip; frame 0 is the reference and does not count."""

    def __init__(self, clean: Frames, networks: Networks) -> None:
        self.clean, self.networks = clean, networks
        self.motions = block_motion(list(clean[1:]))

    def clean_warping_error(self) -> float:
        """Of the clean clip itself: what a perfect result has."""
        return warping_error(list(self.clean[1:]), self.motions)

    def score(self, frames: Frames) -> Scores:
        """Measure the frames of a result, as many as the clean clip has."""
        pairs = list(zip(frames[1:], self.clean[1:], strict=True))
        few = [pairs[index - 1] for index in FEW_FRAMES if index <= len(pairs)]
        networks = self.networks
        return Scores(
            psnr=fmean(frame_psnr(frames[1:], self.clean[1:])),
            ssim=fmean(ssim(a, b) for a, b in pairs),
            flicker=flicker(list(frames[1:]), list(self.clean[1:])),
            warping_error=warping_error(list(frames[1:]), self.motions),
            lpips=_mean(networks.lpips, pairs),
            st_lpips=_mean(networks.st_lpips, few),
            ssimulacra2=_mean(networks.ssimulacra2, few),
        )


def _mean(compare: Compare | None, pairs: Sequence[tuple[Picture, Picture]]) -> float | None:
    return fmean(compare(a, b) for a, b in pairs) if compare is not None else None
