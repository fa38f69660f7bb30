"""`refvid metrics`: measure videos against a clean one, frame by frame.

Pixels are compared as RGB, as refvid shows them: each file with its own matrix and range (what it
leaves open is taken as players take it), upright, 8 bits deep, or 16 where one file is deeper.
"""

from __future__ import annotations

import logging
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from refvid.errors import InputError
from refvid.media.color import resolve_color
from refvid.media.video_info import VideoInfo
from refvid.metrics.catalog import MEASURES
from refvid.metrics.frames import (
    AlignedVideos,
    FramePair,
    align,
    check_inputs,
    fitting_measures,
)
from refvid.metrics.meters import Meter, load_meters
from refvid.metrics.options import MetricsOptions
from refvid.metrics.pairs import EmptyMask
from refvid.metrics.psnr import psnr_of
from refvid.progress import Progress, ProgressCallback

logger = logging.getLogger(__name__)

PSNR_OF_MEAN = "psnr_of_mean_mse"
"""In summaries: PSNR of the mean squared error over all frames, next to the mean of PSNRs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that took part, and how its colours were read."""

    path: Path
    matrix: str
    range: str
    bit_depth: int
    is_tagged: bool
    """Whether the file itself says so; else it was taken as players take it."""

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "matrix": self.matrix,
            "range": self.range,
            "bit_depth": self.bit_depth,
            "is_tagged": self.is_tagged,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipMeasures:
    """What was measured on one video."""

    source: Source
    aligned_by: str
    """`time`, or `number` where an image sequence takes part."""

    times: array[float]
    """Of each frame, from the first on [s]."""

    values: dict[str, array[float]]
    """By measure: of each frame; NaN where a frame has none (the first, an empty mask)."""

    @property
    def frames(self) -> int:
        return len(self.times)

    def rows(self) -> Iterator[dict[str, float | None]]:
        """Frame by frame: `frame` (from 0), `time` [s] and each measure; None where none is."""
        for index, time in enumerate(self.times):
            row: dict[str, float | None] = {"frame": index, "time": time}
            for name, column in self.values.items():
                row[name] = None if math.isnan(column[index]) else column[index]
            yield row

    def summary(self) -> dict[str, float | None]:
        """Mean of each measure over the frames that have it, and `psnr_of_mean_mse`."""
        summary: dict[str, float | None] = {}
        for name, column in self.values.items():
            known = [value for value in column if not math.isnan(value)]
            summary[name] = fmean(known) if known else None
            if name == "psnr":
                squares = [10 ** (-value / 10) for value in known]
                summary[PSNR_OF_MEAN] = psnr_of(fmean(squares)) if known else None
        return summary

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types. An infinite PSNR is the text `inf`, which JSON has no number for."""
        return {
            **self.source.to_json(),
            "frames": self.frames,
            "aligned_by": self.aligned_by,
            "summary": _without_infinity(self.summary()),
            "per_frame": [_without_infinity(row) for row in self.rows()],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsReport:
    """All that was measured."""

    reference: Source
    mask: Path | None
    measures: tuple[str, ...]
    clips: tuple[ClipMeasures, ...]
    """In the order of the options."""

    def to_json(self) -> dict[str, Any]:
        return {
            "reference": self.reference.to_json(),
            "mask": None if self.mask is None else str(self.mask),
            "measures": list(self.measures),
            "results": [clip.to_json() for clip in self.clips],
        }


def measure(options: MetricsOptions, on_progress: ProgressCallback) -> MetricsReport:
    """Measure every video against the reference, one after the other.

    Memory holds a few frames, and 8 bytes per measure and frame. One failure ends it all.

    Raises:
        InputError: A file cannot be read, or frames cannot be aligned: names the first mismatch.
        CheckpointError: The weights of a measure are not to be had.
        DeviceError: There is no such device.
    """
    known = check_inputs(options)
    names = fitting_measures(options, known[options.reference])
    for name in options.measures:
        if name not in names:
            logger.warning("%s is left out: the frames are too small for it", MEASURES[name].label)
    meters = load_meters(names, options.device, only_available=options.only_available)
    clips: list[ClipMeasures] = []
    for path in options.distorted:
        with align(path, options, known) as videos:
            clips.append(_measure_clip(videos, options, meters, len(clips), on_progress))
    return MetricsReport(
        reference=_source(known[options.reference]),
        mask=options.mask,
        measures=tuple(meters),
        clips=tuple(clips),
    )


def _measure_clip(
    videos: AlignedVideos,
    options: MetricsOptions,
    meters: dict[str, Meter],
    position: int,
    on_progress: ProgressCallback,
) -> ClipMeasures:
    times = array("d")
    values = {name: array("d") for name in meters}
    source = _source(videos.distorted)
    _tell_colors(source, _source(videos.clean))
    count = _frame_count(videos, options)
    before = None
    for pair in videos:
        times.append(float(pair.time))
        for name, meter in meters.items():
            values[name].append(_value(meter, pair, before))
        before = pair
        if count is not None:
            done = position * count + len(times)
            on_progress(Progress(done, max(done, len(options.distorted) * count)))
        else:
            on_progress(Progress(len(times), None))
    if all(math.isnan(value) for column in values.values() for value in column):
        why = _why_nothing(options, times)
        raise InputError(f"{source.path}: there is nothing to measure{why}.")
    return ClipMeasures(
        source=source,
        aligned_by="time" if videos.is_by_time else "number",
        times=times,
        values=values,
    )


def _frame_count(videos: AlignedVideos, options: MetricsOptions) -> int | None:
    count = videos.clean.frame_count
    return count if count is None or options.frames is None else min(count, options.frames)


def _why_nothing(options: MetricsOptions, times: array[float]) -> str:
    if len(times) == 1 and all(MEASURES[name].needs_previous for name in options.measures):
        return ", because these measures compare neighbouring frames and there is only one"
    return "" if options.mask is None else f" where {options.mask} is not black"


def _value(meter: Meter, pair: FramePair, before: FramePair | None) -> float:
    try:
        value = meter(pair, before)
    except EmptyMask:
        return math.nan
    return math.nan if value is None else value


def _source(info: VideoInfo) -> Source:
    coded_height = info.width if info.rotation in (90, 270) else info.height
    is_rgb = info.color.matrix_name == "rgb"
    used = info.color if is_rgb else resolve_color(info.color, coded_height)
    return Source(
        path=info.path,
        matrix=used.matrix_name,
        range=used.range_name,
        bit_depth=info.bit_depth,
        is_tagged=(used.matrix, used.range) == (info.color.matrix, info.color.range),
    )


def _tell_colors(source: Source, reference: Source) -> None:
    for each in (source, reference):
        said = "as tagged" if each.is_tagged else "assumed, as it is not tagged"
        logger.info("%s: read as %s, %s range (%s)", each.path, each.matrix, each.range, said)
    used = {(each.matrix, each.range) for each in (source, reference) if each.matrix != "rgb"}
    if len(used) > 1 and not (source.is_tagged and reference.is_tagged):
        logger.warning(
            "%s is read as %s, %s range, but %s as %s, %s range, and not both are tagged so: "
            "the figures may show nothing but that difference.",
            *(source.path, source.matrix, source.range),
            *(reference.path, reference.matrix, reference.range),
        )


def _without_infinity(values: dict[str, float | None]) -> dict[str, float | str | None]:
    return {name: "inf" if value == math.inf else value for name, value in values.items()}
