"""The measures there are: names, units and needs. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is known of a measure without computing it."""

    name: str
    label: str
    """For tables and plots."""

    unit: str = ""
    higher_is_better: bool
    digits: int = 4
    """Decimals worth printing."""

    needs_previous: bool = False
    """Compares neighbouring frames: the first frame of a clip has no value."""

    is_masked: bool = True
    """Whether it can be restricted to the region of a mask."""

    smallest_side: int = 1
    """Least width and height of a frame [pixels]."""

    packages: tuple[str, ...] = ()
    """Optional packages that it is computed with."""

    install: str = ""
    """What pip is asked for to have them, where that has other names."""


MEASURES: Final = {
    measure.name: measure
    for measure in (
        Measure(name="psnr", label="PSNR", unit="dB", higher_is_better=True, digits=2),
        Measure(name="ssim", label="SSIM", higher_is_better=True, smallest_side=11),
        Measure(
            name="ssim_ffmpeg", label="SSIM (FFmpeg's)", higher_is_better=True, smallest_side=8
        ),
        # Its coarsest scale, 1/16, must hold one window.
        Measure(name="ms_ssim", label="MS-SSIM", higher_is_better=True, smallest_side=161),
        Measure(
            name="lpips",
            label="LPIPS",
            higher_is_better=False,
            smallest_side=32,
            packages=("lpips", "torchvision"),
        ),
        Measure(
            name="temporal_lpips",
            label="temporal LPIPS",
            higher_is_better=False,
            needs_previous=True,
            smallest_side=32,
            packages=("lpips", "torchvision"),
        ),
        Measure(
            name="st_lpips",
            label="ST-LPIPS",
            higher_is_better=False,
            smallest_side=21,
            packages=("stlpips_pytorch",),
            install="stlpips-pytorch",
        ),
        Measure(name="flicker", label="flicker", higher_is_better=False, needs_previous=True),
        Measure(
            name="warping_error",
            label="warping error",
            higher_is_better=False,
            needs_previous=True,
            smallest_side=32,
        ),
        Measure(
            name="clip_consistency",
            label="CLIP consistency",
            higher_is_better=True,
            needs_previous=True,
            is_masked=False,
            packages=("transformers",),
        ),
    )
}
"""By name, in the order in which they are shown."""
