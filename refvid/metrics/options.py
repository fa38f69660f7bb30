"""What `refvid metrics` is asked for. Loads nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from refvid.documents import shown
from refvid.errors import OptionError
from refvid.metrics.catalog import MEASURES, Measure

DEFAULT_MEASURES = ("psnr", "ssim")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsOptions:
    """One comparison of some videos with a clean one.

    Raises:
        OptionError: The options are impossible, or a measure's packages are not installed.
    """

    distorted: tuple[Path, ...]
    """Videos, images or image sequences, as for `open_video`."""

    reference: Path
    """The clean one."""

    measures: tuple[str, ...] = DEFAULT_MEASURES
    """Names out of `MEASURES`."""

    only_available: bool = False
    """Leave out measures whose weights are not to be had, with a warning, rather than fail."""

    mask: Path | None = None
    """Where to measure: an image, or a video with a frame for each of the reference's."""

    frames: int | None = None
    """At most so many frames; None is all."""

    skip: tuple[int, int] = (0, 0)
    """Frames to leave out at the beginning of those that are measured, and of the clean one."""

    device: str = "auto"
    """Where networks run: LPIPS, ST-LPIPS and CLIP."""

    def __post_init__(self) -> None:
        if not self.distorted:
            raise OptionError("Give at least one video to measure.")
        if not self.measures:
            raise OptionError("Give at least one measure.")
        if self.frames is not None and self.frames < 1:
            raise OptionError(f"The number of frames must be at least 1, not {self.frames}.")
        for name in self.measures:
            if name not in MEASURES:
                raise OptionError(f"Unknown measure {shown(name)}. Known: {', '.join(MEASURES)}.")
            measure = MEASURES[name]
            if self.mask is not None and not measure.is_masked:
                raise OptionError(f"{measure.label} judges whole frames: it excludes a mask.")
            if missing := missing_packages(measure):
                raise OptionError(
                    f"{measure.label} needs {' and '.join(missing)}, not installed here. "
                    f"Run: pip install {measure.install or ' '.join(measure.packages)}"
                )


def missing_packages(measure: Measure) -> tuple[str, ...]:
    """The optional packages of a measure that are not installed."""
    return tuple(name for name in measure.packages if find_spec(name) is None)


def available_measures(*, masked: bool = False) -> tuple[str, ...]:
    """The measures whose packages are installed; their weights may still be missing.

    Args:
        masked: Only those that can be restricted to a mask.
    """
    return tuple(
        name
        for name, measure in MEASURES.items()
        if not missing_packages(measure) and (measure.is_masked or not masked)
    )


def parse_measures(words: Iterable[str]) -> tuple[str, ...]:
    """`psnr`, `MS-SSIM`, ... -> names, each once and in the order of `MEASURES`.

    Raises:
        OptionError: There is no such measure.
    """
    wanted = {word.strip().lower().replace("-", "_") for word in words}
    unknown = sorted(wanted - set(MEASURES))
    if unknown:
        raise OptionError(f"Unknown measure {shown(unknown[0])}. Known: {', '.join(MEASURES)}.")
    return tuple(name for name in MEASURES if name in wanted)
