"""`refvid evaluate --task restore`: degrade clips in fixed ways, bring them back, and measure.

The protocol: the first frames of every clip at its own size; three degradations, each through
real H.264; reference = the clean frame 0; PSNR in RGB, mean over frames 1 and later, then over
clips and degradations. Fixed seeds: the same clips and weights give the same numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from refvid.errors import CheckpointUnavailable, InputError, OptionError
from refvid.inference.reference import prepare_reference
from refvid.media.image import fit_image
from refvid.quality.catalog import MEASURES
from refvid.quality.perceptual import Lpips, load_lpips, lpips_distance
from refvid.quality.picture import psnr, ssim
from refvid.quality.temporal import block_motion, flicker, warping_error
from refvid.training.degradations import EVALUATION_DEGRADATIONS, degrade
from refvid.workflows.choose_model import LoadedBackbone, choose_backbone
from refvid.workflows.evaluate_clips import (
    Frames,
    find_clips,
    read_clip,
    rebuild_frames,
    write_report,
)
from refvid.workflows.metrics_options import missing_packages
from refvid.workflows.progress import Progress, ProgressCallback
from refvid.workflows.rebuild_options import ModelOptions

logger = logging.getLogger(__name__)

DISTANCES = ((1, 4), (5, 8), (9, 12), (13, 16))
"""Frames from the reference, first and last of each group."""

CASES = ("right", "none", "unrelated")
"""References: the clip's clean frame 0, none, and a frame of another clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """One evaluation."""

    clips: Path
    """Folder of clean clips."""

    model: ModelOptions = field(default_factory=ModelOptions)
    frames: int = 17
    """Frames of each clip, at least 3; the first is the reference."""

    max_clips: int | None = None
    output: Path | None = None
    """Also write the report there: JSON if the name ends so, else Markdown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Mean measures of some frames against the clean ones."""

    psnr: float
    """[dB]"""

    ssim: float
    flicker: float
    warping_error: float
    lpips: float | None = None
    """None where the network is not to be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipResult:
    """One clip under one degradation."""

    clip: str
    degradation: str
    input: Scores
    outputs: dict[str, Scores]
    """By case, see `CASES`."""

    gain_by_distance: dict[str, float]
    """PSNR gain over the input with the right reference [dB], by frames from the reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """All results, and the means that the model card shows."""

    model: str
    results: tuple[ClipResult, ...]
    clean_psnr: dict[str, float]
    """Clean clip in, its first frame as reference: output to input [dB], by clip."""

    clean_warping_error: dict[str, float]
    """Of the clean clips themselves: what a perfect result has."""

    def gain(self, case: str, over: str = "input", clip: str | None = None) -> float:
        """Mean PSNR of a case minus that of the input or of another case [dB]."""
        return fmean(
            r.outputs[case].psnr - (r.input if over == "input" else r.outputs[over]).psnr
            for r in self.results
            if clip in (None, r.clip)
        )

    @property
    def clips(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(r.clip for r in self.results))

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "summary": dict(self.summary()),
            "by_distance": self.by_distance(),
            "clean_psnr": self.clean_psnr,
            "clean_warping_error": self.clean_warping_error,
            "results": [asdict(result) for result in self.results],
        }

    def summary(self) -> list[tuple[str, float]]:
        """Rows of the first table: what, and the figure [dB]."""
        worst = min(self.gain("right", clip=clip) for clip in self.clips)
        return [
            ("clean frame of the same shot, over the input", self.gain("right")),
            ("the same, over the model without a reference", self.gain("right", over="none")),
            ("worst clip, over the input", worst),
            ("unrelated reference, over no reference", self.gain("unrelated", over="none")),
            ("unrelated reference, over the input", self.gain("unrelated")),
            ("no reference, over the input", self.gain("none")),
            ("clean clip in, output to input (PSNR)", fmean(self.clean_psnr.values())),
        ]

    def by_distance(self) -> dict[str, float]:
        groups = self.results[0].gain_by_distance
        return {g: fmean(r.gain_by_distance[g] for r in self.results) for g in groups}

    def to_markdown(self) -> str:
        """The tables of the model card."""
        lines = ["| case | dB |", "|---|---|"]
        lines += [f"| {name} | {value:+.2f} |" for name, value in self.summary()]
        lines += ["", "| frames from the reference | gain, dB |", "|---|---|"]
        lines += [f"| {group} | {gain:+.2f} |" for group, gain in self.by_distance().items()]
        lines += ["", "| mean of all | PSNR | SSIM | LPIPS | flicker | warping error |"]
        lines.append("|---" * 6 + "|")
        lines.append(_row("input", [r.input for r in self.results]))
        for case in CASES:
            lines.append(_row(f"{case} reference", [r.outputs[case] for r in self.results]))
        perfect = fmean(self.clean_warping_error.values())
        lines.append(f"| the clean clip itself | | 1.0000 | | 0.0000 | {perfect:.4f} |")
        degradations = tuple(dict.fromkeys(r.degradation for r in self.results))
        lines += ["", f"| clip | {' | '.join(degradations)} | mean | no reference | unrelated |"]
        lines.append("|---" * (len(degradations) + 4) + "|")
        for clip in self.clips:
            gains = [r.outputs["right"].psnr - r.input.psnr for r in self.results if r.clip == clip]
            gains += [self.gain(case, clip=clip) for case in CASES]
            lines.append(f"| {clip} | " + " | ".join(f"{gain:+.2f}" for gain in gains) + " |")
        return "\n".join(lines)


def evaluate(options: EvaluateOptions, on_progress: ProgressCallback) -> EvaluationReport:
    """Run the protocol.

    Raises:
        InputError: The folder holds fewer than two clips, or one cannot be read.
        CheckpointError, DeviceError: The model is not to be had.
    """
    paths = find_clips(options.clips, options.max_clips)
    if len(paths) < 2:
        raise InputError(
            f"{options.clips} holds {len(paths)} clips: at least two are needed, because each "
            "serves as the other's unrelated reference."
        )
    loaded = choose_backbone(options.model)
    clips = {path.stem: read_clip(path, options.frames) for path in paths}
    total = len(clips) * (len(EVALUATION_DEGRADATIONS) * len(CASES) + 1)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        on_progress(Progress(done, total))

    lpips = _optional_lpips(loaded)
    results: list[ClipResult] = []
    clean_psnr: dict[str, float] = {}
    clean_warping: dict[str, float] = {}
    for position, (name, clean) in enumerate(clips.items()):
        other = list(clips.values())[(position + len(clips) // 2) % len(clips)]
        rebuilt = rebuild_with(loaded, clean, clean[0])
        clean_psnr[name] = fmean(psnr(a, b) for a, b in zip(rebuilt[1:], clean[1:], strict=True))
        step()
        judge = _Judge(clean, lpips)
        clean_warping[name] = warping_error(list(clean[1:]), judge.motions)
        references = {"right": clean[0], "none": None, "unrelated": other[0]}
        results += _evaluate_clip(loaded, name, judge, references, step)
    report = EvaluationReport(
        model=loaded.name,
        results=tuple(results),
        clean_psnr=clean_psnr,
        clean_warping_error=clean_warping,
    )
    write_report(report, options.output)
    return report


def _optional_lpips(loaded: LoadedBackbone) -> Lpips | None:
    if missing_packages(MEASURES["lpips"]):
        return None
    try:
        return load_lpips(loaded.device)
    except (CheckpointUnavailable, OptionError) as error:
        logger.warning("no LPIPS: %s", error)
        return None


class _Judge:
    """Measures frames against a clean clip; frame 0 is the reference and does not count."""

    def __init__(self, clean: Frames, lpips: Lpips | None) -> None:
        self.clean, self.lpips = clean, lpips
        self.motions = block_motion(list(clean[1:]))

    def score(self, frames: Frames) -> Scores:
        pairs = list(zip(frames[1:], self.clean[1:], strict=True))
        network = self.lpips
        return Scores(
            psnr=fmean(psnr(a, b) for a, b in pairs),
            ssim=fmean(ssim(a, b) for a, b in pairs),
            lpips=fmean(lpips_distance(network, a, b) for a, b in pairs) if network else None,
            flicker=flicker(list(frames[1:]), list(self.clean[1:])),
            warping_error=warping_error(list(frames[1:]), self.motions),
        )


def _evaluate_clip(
    loaded: LoadedBackbone,
    name: str,
    judge: _Judge,
    references: dict[str, Frames | None],
    step: Callable[[], None],
) -> list[ClipResult]:
    results = []
    for kind, degradation in EVALUATION_DEGRADATIONS.items():
        degraded = degrade(judge.clean, degradation)
        outputs, gains = {}, {}
        for case in CASES:
            rebuilt = rebuild_with(loaded, degraded, references[case])
            outputs[case] = judge.score(rebuilt)
            if case == "right":
                gains = _gain_by_distance(rebuilt, degraded, judge.clean)
            step()
        results.append(
            ClipResult(
                clip=name,
                degradation=kind,
                input=judge.score(degraded),
                outputs=outputs,
                gain_by_distance=gains,
            )
        )
    return results


def rebuild_with(loaded: LoadedBackbone, frames: Frames, reference: Frames | None) -> Frames:
    """Run a clip through the model with a picture as reference, as `enhance` does."""
    prepared = None
    if reference is not None:
        height, width = frames.shape[1:3]
        fitted = fit_image(reference, width, height, "cover")
        prepared = prepare_reference(loaded.backbone, fitted, loaded.device)
    return rebuild_frames(loaded, frames, prepared)


def _gain_by_distance(rebuilt: Frames, degraded: Frames, clean: Frames) -> dict[str, float]:
    gains = {}
    for first, last in DISTANCES:
        frames = range(first, min(last + 1, len(clean)))
        if frames:
            gains[f"{first}-{last}"] = fmean(
                psnr(rebuilt[f], clean[f]) - psnr(degraded[f], clean[f]) for f in frames
            )
    return gains


def _row(name: str, scores: Sequence[Scores]) -> str:
    psnrs, ssims = fmean(s.psnr for s in scores), fmean(s.ssim for s in scores)
    known = [s.lpips for s in scores if s.lpips is not None]
    perceived = f"{fmean(known):.4f}" if known else "not measured"
    flickers, warping = fmean(s.flicker for s in scores), fmean(s.warping_error for s in scores)
    return f"| {name} | {psnrs:.2f} | {ssims:.4f} | {perceived} | {flickers:.4f} | {warping:.4f} |"
