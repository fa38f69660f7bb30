"""See the difference: a page with all candidates in step, a montage, a contact sheet."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import refvid
from refvid.comparison.atlas import Atlas
from refvid.comparison.blind_trials import plan_trials
from refvid.comparison.clips import (
    REFERENCE_LABEL,
    Clip,
    check_compare,
    choose_labels,
    find_clips,
)
from refvid.comparison.document import clip_details, clip_document, plain_number
from refvid.comparison.measures import Curves, against, measure_clip
from refvid.comparison.options import CompareOptions
from refvid.comparison.page import Preview, write_page
from refvid.comparison.pictures import write_montage, write_sheet
from refvid.comparison.survey import (
    Moment,
    Survey,
    inspect_moments,
    plan_preview,
    preview_kind,
    survey_clip,
)
from refvid.errors import OptionError
from refvid.media.frame_range import FrameRange
from refvid.progress import Progress, ProgressCallback

MOST_FRAMES: Final = 1800
"""What is taken of a clip unless a part is chosen: a minute at 30 frames per second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedClip:
    """What was found out about one clip."""

    clip: Clip
    atlas: Atlas
    order: tuple[int, ...]
    """Which of `clip.shown` lies on each tile of the page's video."""

    survey: Survey
    moments: tuple[Moment, ...]
    measures: tuple[Curves, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareReport:
    """What was compared and written."""

    labels: tuple[str, ...]
    outputs: dict[str, Path]
    """page, montage and sheet: those that were asked for."""

    clips: tuple[ComparedClip, ...]
    """Empty where only a montage was asked for."""

    notes: tuple[str, ...]
    """What is different from what the user might expect."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; the mean of equal videos may be the text `inf`, where none is null."""
        return {
            "outputs": {kind: str(path) for kind, path in self.outputs.items()},
            "labels": list(self.labels),
            "clips": [_clip_json(compared, self.labels) for compared in self.clips],
            "notes": list(self.notes),
        }


def compare(options: CompareOptions, on_progress: ProgressCallback) -> CompareReport:
    """Compare videos of the same scenes, and write what was asked for.

    Raises:
        InputError: A video is missing or damaged, or they do not show the same moments.
        OptionError: The options do not fit these inputs.
        OutputError: A result exists, cannot be written, or is too large.
    """
    check_compare(options)
    clips = find_clips(options)
    if len(clips) > 1 and (options.montage or options.sheet):
        raise OptionError("a montage or sheet shows one clip: give files, not folders")
    labels = choose_labels(options)
    draw = random.Random(secrets.randbits(64) if options.seed is None else options.seed)
    counter = _Counter(on_progress, _count_steps(clips, options))
    compared: list[ComparedClip] = []
    notes: list[str] = []
    with TemporaryDirectory(prefix="refvid-compare-") as folder:
        if options.page is not None or options.sheet is not None:
            suffix, mime_type = preview_kind(options)
            paths = [Path(folder, f"{index}{suffix}") for index in range(len(clips))]
            for clip, path in zip(clips, paths, strict=True):
                compared.append(_compare_clip(clip, path, options, draw, counter.step))
        if options.montage is not None:
            notes += write_montage(clips[0], labels, options, counter.step)
        if options.sheet is not None:
            moments = compared[0].moments
            write_sheet(options.sheet, moments, labels, overwrite=options.overwrite)
        if options.page is not None:
            previews = [Preview(path=path, mime_type=mime_type) for path in paths]
            _write_page(options.page, compared, labels, previews, options, draw)
    notes = [*(note for each in compared for note in each.notes), *notes]
    return CompareReport(
        labels=labels,
        outputs=options.outputs,
        clips=tuple(compared),
        notes=tuple(dict.fromkeys(notes)),
    )


def _compare_clip(
    clip: Clip,
    preview: Path,
    options: CompareOptions,
    draw: random.Random,
    on_frame: Callable[[], None],
) -> ComparedClip:
    part, note = _limited_part(clip, options)
    atlas = plan_preview(clip, options)
    order = list(range(len(clip.shown)))
    if options.blind:
        # Else the first one that was given would lie first in the video.
        draw.shuffle(order)
    survey = survey_clip(
        clip,
        atlas,
        part,
        options,
        on_frame,
        order=order,
        preview=None if options.page is None else preview,
    )
    notes = [note] if note else []
    if any(info.hdr is not None for info in clip.shown):
        # Not by its own name where that would tell which is which.
        hdr = [info.path.name for info in clip.shown if info.hdr is not None]
        names = [clip.name] if options.blind else dict.fromkeys(hdr)
        notes += [f"{one} is HDR: it is shown as stored, without tone mapping" for one in names]
    measures: list[Curves] = []
    if options.page is not None:
        measures, skipped = measure_clip(clip, survey, options.measures, on_frame, options.excerpts)
        notes += skipped
    return ComparedClip(
        clip=clip,
        atlas=atlas,
        order=tuple(order),
        survey=survey,
        moments=tuple(inspect_moments(clip, survey, part, options)),
        measures=tuple(measures),
        notes=tuple(notes),
    )


def _limited_part(clip: Clip, options: CompareOptions) -> tuple[FrameRange, str]:
    """The part of a clip that the page shows, and a note where that is not all."""
    part, first = options.range, clip.candidates[0]
    if options.page is None or part.end is not None or part.frames is not None:
        return part, ""
    count = part.count_frames(first.frame_count, first.frame_rate)
    if count is not None and count <= MOST_FRAMES:
        return part, ""
    total = "an unknown number of" if count is None else f"about {count}"
    return replace(part, frames=MOST_FRAMES), (
        f"{clip.name} has {total} frames: the page shows the first {MOST_FRAMES}; choose others "
        "with --start, --end or --frames"
    )


def _write_page(
    page: Path,
    compared: Sequence[ComparedClip],
    labels: tuple[str, ...],
    previews: Sequence[Preview],
    options: CompareOptions,
    draw: random.Random,
) -> None:
    trials = plan_trials(len(compared), len(labels), draw) if options.blind else []
    names = [*labels, *([REFERENCE_LABEL] if options.reference is not None else [])]
    document = {
        "version": refvid.__version__,
        "id": f"{draw.getrandbits(64):016x}",
        "blind": options.blind,
        "clips": [
            clip_document(each.survey, each.atlas, len(each.order), preview.mime_type)
            for each, preview in zip(compared, previews, strict=True)
        ],
        "trials": [
            {
                "clip": trial.clip,
                "left": compared[trial.clip].order.index(trial.left),
                "right": compared[trial.clip].order.index(trial.right),
            }
            for trial in trials
        ],
    }
    details = {
        "names": names,
        "candidates": len(labels),
        "clips": [
            clip_details(each.clip, each.order, each.moments, each.measures, each.notes)
            for each in compared
        ],
    }
    write_page(
        page,
        title="Blind comparison" if options.blind else " · ".join(labels),
        document=document,
        details=details,
        hide_details=options.blind,
        previews=previews,
        overwrite=options.overwrite,
    )


def _clip_json(compared: ComparedClip, labels: Sequence[str]) -> dict[str, Any]:
    means = {
        measure.key: {labels[index]: plain_number(value) for index, value in measure.means.items()}
        for measure in compared.measures
    }
    return {
        "name": compared.clip.name,
        "frames": len(compared.survey.times),
        "means": means,
        "most_different": [
            {"frame": moment.frame, "time": float(moment.time)} for moment in compared.moments
        ],
    }


def _count_steps(clips: Sequence[Clip], options: CompareOptions) -> int | None:
    """Frames to go through, all passes together; None where a file does not tell its length."""
    steps = 0
    for clip in clips:
        part, _ = _limited_part(clip, options)
        first = clip.candidates[0]
        clean, measured = against(clip)
        count = part.count_frames(first.frame_count, first.frame_rate)
        whole = options.range.count_frames(first.frame_count, first.frame_rate)
        if count is None or whole is None:
            return None
        if options.page is not None or options.sheet is not None:
            steps += count
        if options.page is not None and options.measures:
            steps += sum(count for index in measured if clip.candidates[index].size == clean.size)
        if options.montage is not None:
            steps += whole
    return steps


class _Counter:
    """Reports progress over several passes."""

    def __init__(self, on_progress: ProgressCallback, total: int | None) -> None:
        self._on_progress = on_progress
        self._total = total
        self._done = 0

    def step(self) -> None:
        self._done += 1
        self._on_progress(Progress(done=self._done, total=self._total))
