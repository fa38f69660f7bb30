"""From the name of a measure to what computes it, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from refvid.metrics.frames import FramePair
from refvid.metrics.psnr import psnr

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
    meters: dict[str, Meter] = {"psnr": lambda pair, _: psnr(pair.distorted, pair.clean, pair.mask)}
    if not set(names) <= set(meters):
        # Loading torch takes as long as PSNR of a thousand frames.
        from refvid.metrics.tensor_meters import load_tensor_meters  # noqa: PLC0415

        meters |= load_tensor_meters(names, device, only_available=only_available)
    return {name: meters[name] for name in names if name in meters}
