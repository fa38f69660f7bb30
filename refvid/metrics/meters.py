"""From the name of a measure to what computes it, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from refvid.media.pixel_conversion import Planes
from refvid.metrics.frames import FramePair
from refvid.metrics.psnr import psnr, psnr_of_planes

Meter = Callable[[FramePair, FramePair | None], float | None]
"""A frame, and the one before it (None for the first) -> the value; None where there is none."""


def load_meters(
    names: Sequence[str], device: str, *, only_available: bool = False
) -> dict[str, Meter]:
    """Make measures ready, in order; networks are loaded once.

    Args:
        names: Out of `MEASURES`.
        device: Where networks run: `auto`, `cpu`, ...
        only_available: Leave out those whose weights are not to be had, with a warning.

    Raises:
        CheckpointUnavailable: Weights are not to be had.
        CheckpointMismatch: They are of another network.
        DeviceError, OptionError: There is no such device, or a package is missing.
    """
    meters: dict[str, Meter] = {"psnr": _psnr}
    if not set(names) <= set(meters):
        # Loading torch takes as long as PSNR of a thousand frames.
        from refvid.metrics.tensor_meters import load_tensor_meters  # noqa: PLC0415

        meters |= load_tensor_meters(names, device, only_available=only_available)
    return {name: meters[name] for name in names if name in meters}


def _psnr(pair: FramePair, _: FramePair | None) -> float:
    distorted, clean = pair.shown
    if pair.mask is None and isinstance(distorted, Planes) and isinstance(clean, Planes):
        return psnr_of_planes(distorted, clean)
    return psnr(pair.distorted, pair.clean, pair.mask)
