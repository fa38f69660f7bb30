"""Measures of the candidates, frame by frame, for the page's curves and tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from refvid.comparison.clips import Clip
from refvid.comparison.survey import Survey
from refvid.media.video_info import VideoInfo
from refvid.metrics.catalog import MEASURES
from refvid.metrics.measure import measure
from refvid.metrics.options import MetricsOptions
from refvid.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """One measure of some of the videos of a clip."""

    key: str
    title: str
    unit: str
    digits: int
    """Decimals worth showing."""

    higher_is_better: bool | None
    """None where neither is."""

    values: dict[int, Sequence[float]]
    """Per video (index in `Clip.shown`) and frame; NaN where a frame has none."""

    means: dict[int, float]
    """Over the frames that have a value; NaN where none has."""


def against(clip: Clip) -> tuple[VideoInfo, list[int]]:
    """What is measured against, and which of `clip.candidates` are measured."""
    if clip.reference is not None:
        return clip.reference, list(range(len(clip.candidates)))
    return clip.candidates[0], list(range(1, len(clip.candidates)))


def measure_clip(
    clip: Clip,
    survey: Survey,
    names: Sequence[str],
    on_frame: Callable[[], None],
    excerpts: Collection[Path] = (),
) -> tuple[list[Curves], list[str]]:
    """Measure every candidate against the reference, or without one against the first.

    Args:
        clip: What is compared.
        survey: Which frames, and the differences that were found on the way.
        names: Measures out of `refvid.metrics.catalog.MEASURES`; may be empty.
        on_frame: Called after each measured frame.
        excerpts: Those that hold the part alone.

    Returns:
        The curves, and notes on what could not be measured.

    Raises:
        CheckpointError: The weights of a measure are not to be had.
    """
    clean, candidates = against(clip)
    curves = [
        Curves(
            key=name,
            title=MEASURES[name].label,
            unit=MEASURES[name].unit,
            digits=MEASURES[name].digits,
            higher_is_better=MEASURES[name].higher_is_better,
            values={},
            means={},
        )
        for name in names
    ]
    notes = []
    for index in candidates:
        info = clip.candidates[index]
        if info.size != clean.size:
            notes.append(
                f"{info.path.name} is not measured: it is {info.width}x{info.height}, "
                f"{clean.path.name} is {clean.width}x{clean.height}"
            )
        elif curves:
            skip = (_skip(info, survey, excerpts), _skip(clean, survey, excerpts))
            _measure_candidate(index, info, clean, survey, curves, on_frame, skip)
    known = [each for each in curves if each.values]
    return [*known, _difference(clip, survey)], notes


def _skip(info: VideoInfo, survey: Survey, excerpts: Collection[Path]) -> int:
    return 0 if info.path in excerpts else survey.first_index


def _measure_candidate(
    index: int,
    info: VideoInfo,
    clean: VideoInfo,
    survey: Survey,
    curves: Sequence[Curves],
    on_frame: Callable[[], None],
    skip: tuple[int, int],
) -> None:
    options = MetricsOptions(
        distorted=(info.path,),
        reference=clean.path,
        measures=tuple(each.key for each in curves),
        frames=len(survey.times),
        skip=skip,
    )

    def on_progress(_progress: Progress) -> None:
        on_frame()

    (measured,) = measure(options, on_progress).clips
    for each in curves:
        values = measured.values[each.key]
        known = [value for value in values if not math.isnan(value)]
        each.values[index] = values
        each.means[index] = fmean(known) if known else math.nan


def _difference(clip: Clip, survey: Survey) -> Curves:
    """How far each candidate is from the first, as the page's heat maps show it."""
    values = {
        other: [row[other - 1] for row in survey.differences]
        for other in range(1, len(clip.candidates))
    }
    return Curves(
        key="difference",
        title="difference",
        unit="of 255",
        digits=2,
        higher_is_better=None,
        values=dict(values),
        means={other: fmean(row) for other, row in values.items()},
    )
