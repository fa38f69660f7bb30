"""`refvid evaluate --task style`: restyle clips, and measure against what a tint alone would do.

The protocol: the first frames of every clip at its own size, in some styles each; the style at its
default scale, strength 1. The same is measured of the input and of two colour transfers, frame by
frame. Nothing is random: the same clips, styles and weights give the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import cast

import numpy as np

from refvid.errors import InputError, OutputError
from refvid.evaluation.clips import find_clips, read_clip, write_report
from refvid.evaluation.color_transfer import transfer_optimal, transfer_reinhard
from refvid.evaluation.rebuilding import Frames, rebuild_conditioned
from refvid.evaluation.style_cases import make_cases
from refvid.evaluation.style_report import (
    INPUT,
    MODEL,
    OPTIMAL,
    REINHARD,
    CaseResult,
    StyleReport,
    StyleResult,
    StyleScores,
)
from refvid.evaluation.style_sheet import SheetCell, SheetRow, draw_sheet
from refvid.media.folders import is_folder, list_files
from refvid.media.image import IMAGE_SUFFIXES, read_image, write_image
from refvid.media.outputs import check_outputs
from refvid.media.pixel_conversion import to_uint8
from refvid.metrics.style import (
    Picture,
    StyleSignature,
    contrast_kept,
    large_distance,
    patch_distance,
    structure_similarity,
    style_distance,
    style_signature,
)
from refvid.metrics.style_features import (
    Grams,
    StyleFeatures,
    features_distance,
    load_style_features,
)
from refvid.metrics.temporal import block_motion, warping_error
from refvid.models.backbone import StyleBackbone
from refvid.progress import Progress, ProgressCallback
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.options import ModelOptions
from refvid.rebuild.references import Conditions
from refvid.rebuild.style import prepare_styles
from refvid.rebuild.stylize import choose_stylizer, fit_style

_STEP = 4
"""Distance and structure are taken of every so manieth frame: neighbours differ little in them."""

_CASE_FRAMES = 5
"""Of made clips."""

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleEvaluateOptions:
    """One evaluation."""

    clips: Path
    """Folder of clips."""

    styles: Path
    """Folder of style images."""

    styles_per_clip: int = 4
    model: ModelOptions = field(default_factory=ModelOptions)
    frames: int = 17
    """Frames of each clip, at least 2."""

    max_clips: int | None = None
    output: Path | None = None
    """Also write the report there: JSON if the name ends so, else Markdown."""

    sheet: Path | None = None
    """Also draw inputs, styles and results there: an image file."""


def evaluate_style(options: StyleEvaluateOptions, on_progress: ProgressCallback) -> StyleReport:
    """Run the protocol.

    Raises:
        InputError: A folder holds no clips or no images, or one of them cannot be read.
        OptionError: The sheet or the report would replace an input.
        OutputError: One of them cannot be written.
        CheckpointError, DeviceError: The model is not to be had.
    """
    clips = find_clips(options.clips, options.max_clips)
    if not clips:
        raise InputError(f"{options.clips} holds no clips.")
    styles = _find_styles(options.styles)
    _check_files(options)
    loaded = choose_stylizer(options.model)
    chosen = choose_styles(len(styles), len(clips), options.styles_per_clip)
    features = load_style_features()
    total = sum(len(indices) for indices in chosen)
    results: list[StyleResult] = []
    rows: list[SheetRow] = []
    for path, indices in zip(clips, chosen, strict=True):
        frames = read_clip(path, options.frames, fewest=2)
        cells: list[SheetCell] = []
        judge = _Judge(frames, features)
        work = _restyle(loaded, path.stem, judge, [styles[index] for index in indices])
        for result, cell in work:
            results.append(result)
            cells.append(cell)
            on_progress(Progress(len(results), total))
        if options.sheet is not None:
            rows.append(SheetRow(path.stem, frames[len(frames) // 2], tuple(cells)))
    frames = read_clip(clips[0], options.frames)
    cases = _try_cases(loaded, frames[:_CASE_FRAMES], [styles[index] for index in chosen[0]])
    report = StyleReport(model=loaded.name, results=tuple(results), cases=tuple(cases))
    write_report(report, options.output)
    if options.sheet is not None:
        write_image(options.sheet, draw_sheet(rows))
    return report


def choose_styles(styles: int, clips: int, per_clip: int) -> list[list[int]]:
    """Which styles each clip gets: different ones, and all about equally often.

    Neighbours in the list, which are often by one painter, fall to different clips.
    """
    step = next(
        step for step in range(max(round(styles * _GOLDEN), 1), styles + 1)
        if math.gcd(step, styles) == 1
    )  # fmt: skip
    per_clip = min(per_clip, styles)
    return [
        [(clip * per_clip + position) * step % styles for position in range(per_clip)]
        for clip in range(clips)
    ]


def _restyle(
    loaded: LoadedBackbone, name: str, judge: _Judge, styles: list[Path]
) -> Iterator[tuple[StyleResult, SheetCell]]:
    """One clip in each style: measured, and its middle frame for the sheet."""
    frames = judge.frames
    height, width = frames.shape[1:3]
    for path in styles:
        style = to_uint8(read_image(path))
        target = judge.target(style, height * width)
        outputs: dict[str, Sequence[Frames]] = {
            REINHARD: [transfer_reinhard(frame, style) for frame in frames],
            OPTIMAL: [transfer_optimal(frame, style) for frame in frames],
            MODEL: list(_stylized(loaded, frames, style)),
        }
        scores = {INPUT: judge.score_input(target)}
        scores |= {kind: judge.score(output, target) for kind, output in outputs.items()}
        middle = outputs[MODEL][len(frames) // 2]
        yield (
            StyleResult(clip=name, style=path.stem, scores=scores),
            SheetCell(path.stem, style, middle),
        )


def _stylized(loaded: LoadedBackbone, frames: Frames, style: Picture) -> Frames:
    backbone = cast("StyleBackbone", loaded.backbone)  # no other is chosen
    fitted = fit_style(style, (frames.shape[2], frames.shape[1]))
    prepared = prepare_styles(backbone, [(fitted, 1.0)], [], loaded.device)
    return rebuild_conditioned(loaded, frames, Conditions(reference=prepared))


def _try_cases(
    loaded: LoadedBackbone, frames: Frames, styles: Sequence[Path]
) -> Iterator[CaseResult]:
    """Every made clip in every style."""
    for case in make_cases(frames):
        for path in styles:
            output = _stylized(loaded, case.frames, to_uint8(read_image(path)))
            changed = None
            if case.fixed is not None:
                apart = np.abs(output.astype(np.float32) - case.frames)[:, case.fixed]
                changed = float(apart.mean())
            pairs = zip(output[::_STEP], case.reference[::_STEP], strict=True)
            kept = fmean(contrast_kept(ours, theirs) for ours, theirs in pairs)
            yield CaseResult(case=case.name, style=path.stem, contrast=kept, changed=changed)


@dataclass(frozen=True, slots=True)
class _Target:
    """What the distances need of a style."""

    signature: StyleSignature
    grams: Grams | None


class _Judge:
    """Measures outputs against the clip that they were made of."""

    def __init__(self, frames: Frames, features: StyleFeatures | None) -> None:
        self.frames, self.features = frames, features
        middle = frames[len(frames) // 2]
        self.grams = None if features is None else features.grams(middle)
        self.motions = block_motion(list(frames), steady=True)
        # The same for every style.
        self.signatures = [style_signature(frame) for frame in frames[::_STEP]]
        self.warping_error = warping_error(list(frames), self.motions)

    def target(self, style: Picture, area: int) -> _Target:
        grams = None if self.features is None else self.features.grams(style)
        return _Target(style_signature(style, area=area), grams)

    def score_input(self, target: _Target) -> StyleScores:
        style = target.signature
        return StyleScores(
            style_distance=fmean(style_distance(frame, style) for frame in self.signatures),
            large_distance=fmean(large_distance(frame, style) for frame in self.signatures),
            patch_distance=fmean(patch_distance(frame, style) for frame in self.signatures),
            features_distance=_apart(self.grams, target.grams),
            contrast=1.0,
            structure=1.0,
            structure_matched=1.0,
            warping_error=self.warping_error,
        )

    def score(self, output: Sequence[Frames], target: _Target) -> StyleScores:
        style = target.signature
        middle = output[len(output) // 2]
        grams = None if self.features is None else self.features.grams(middle)
        signatures = [style_signature(frame) for frame in output[::_STEP]]
        pairs = list(zip(output[::_STEP], self.frames[::_STEP], strict=True))
        return StyleScores(
            style_distance=fmean(style_distance(frame, style) for frame in signatures),
            large_distance=fmean(large_distance(frame, style) for frame in signatures),
            patch_distance=fmean(patch_distance(frame, style) for frame in signatures),
            features_distance=_apart(grams, target.grams),
            contrast=fmean(contrast_kept(a, b) for a, b in pairs),
            structure=fmean(structure_similarity(a, b) for a, b in pairs),
            structure_matched=fmean(
                structure_similarity(a, b, match_contrast=True) for a, b in pairs
            ),
            warping_error=warping_error(output, self.motions),
        )


def _apart(ours: Grams | None, theirs: Grams | None) -> float | None:
    return None if ours is None or theirs is None else features_distance(ours, theirs)


def _find_styles(folder: Path) -> list[Path]:
    if not is_folder(folder):
        raise InputError(f"{folder} is no folder: give one with style images.")
    paths = [path for path in list_files(folder) if path.suffix.lower() in IMAGE_SUFFIXES]
    if not paths:
        raise InputError(f"{folder} holds no images.")
    return paths


def _check_files(options: StyleEvaluateOptions) -> None:
    """Raise, before the work, where its results could not be written after it."""
    sheet = options.sheet
    if sheet is not None and sheet.suffix.lower() not in IMAGE_SUFFIXES:
        raise OutputError(f"Cannot write {sheet}: give it the name of an image, such as sheet.png.")
    files = [path for path in (sheet, options.output) if path is not None]
    check_outputs(files, [options.clips, options.styles], overwrite=True)
