"""`refvid evaluate`: degrade clean clips in fixed ways, bring them back, and measure.

The protocol: the first frames of every clip at its own size; three degradations, each through
real H.264; reference = the clean frame 0; PSNR in RGB, mean over frames 1 and later, then over
clips and degradations. Fixed seeds: the same clips and weights give the same numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refvid.errors import InputError
from refvid.inference.memory import choose_budget
from refvid.inference.pixels import clip_to_frames, frames_to_clip
from refvid.inference.reconstruct import ShotState, reconstruct
from refvid.inference.reference import prepare_reference
from refvid.media.image import fit_image
from refvid.media.pixel_conversion import to_uint8
from refvid.media.reader import open_video
from refvid.quality.picture import psnr, ssim
from refvid.quality.temporal import BlockMotion, block_motion, flicker, warping_error
from refvid.training.degradations import EVALUATION_DEGRADATIONS, degrade
from refvid.workflows.enhance import LoadedBackbone, ModelOptions, choose_backbone
from refvid.workflows.progress import Progress, ProgressCallback

Frames = NDArray[np.uint8]
"""(T, H, W, 3) RGB."""

VIDEO_SUFFIXES = {".mp4", ".mkv", ".webm", ".mov", ".avi"}
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
    """Frames of each clip; the first is the reference."""

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
        lines += ["", "| mean of all | PSNR | SSIM | flicker | warping error |"]
        lines.append("|---|---|---|---|---|")
        lines.append(_row("input", [r.input for r in self.results]))
        for case in CASES:
            lines.append(_row(f"{case} reference", [r.outputs[case] for r in self.results]))
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
    names = _find_clips(options)
    loaded = choose_backbone(options.model)
    clips = {path.stem: _read(path, options.frames) for path in names}
    total = len(clips) * (len(EVALUATION_DEGRADATIONS) * len(CASES) + 1)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        on_progress(Progress(done, total))

    results: list[ClipResult] = []
    clean_psnr: dict[str, float] = {}
    for position, (name, clean) in enumerate(clips.items()):
        other = list(clips.values())[(position + len(clips) // 2) % len(clips)]
        rebuilt = _rebuild(loaded, clean, clean[0])
        clean_psnr[name] = fmean(psnr(a, b) for a, b in zip(rebuilt[1:], clean[1:], strict=True))
        step()
        references = {"right": clean[0], "none": None, "unrelated": other[0]}
        results += _evaluate_clip(loaded, name, clean, references, step)
    report = EvaluationReport(model=loaded.name, results=tuple(results), clean_psnr=clean_psnr)
    if options.output is not None:
        as_json = options.output.suffix == ".json"
        text = json.dumps(report.to_json(), indent=2) if as_json else report.to_markdown()
        options.output.write_text(text + "\n", encoding="utf-8")
    return report


def _find_clips(options: EvaluateOptions) -> list[Path]:
    if not options.clips.is_dir():
        raise InputError(f"{options.clips} is no folder: give one with clean clips.")
    paths = sorted(p for p in options.clips.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
    paths = paths[: options.max_clips]
    if len(paths) < 2:
        raise InputError(
            f"{options.clips} holds {len(paths)} clips: at least two are needed, because each "
            "serves as the other's unrelated reference."
        )
    return paths


def _read(path: Path, frames: int) -> Frames:
    with open_video(path, frames=frames) as video:
        clip: Frames = np.stack([to_uint8(frame.pixels) for frame in video])
    # H.264 in 4:2:0 and the block measures want multiples of 8.
    return np.ascontiguousarray(clip[:, : clip.shape[1] // 8 * 8, : clip.shape[2] // 8 * 8])


def _evaluate_clip(
    loaded: LoadedBackbone,
    name: str,
    clean: Frames,
    references: dict[str, Frames | None],
    step: Callable[[], None],
) -> list[ClipResult]:
    results = []
    motions = block_motion(list(clean[1:]))
    for kind, degradation in EVALUATION_DEGRADATIONS.items():
        degraded = degrade(clean, degradation)
        outputs, gains = {}, {}
        for case in CASES:
            rebuilt = _rebuild(loaded, degraded, references[case])
            outputs[case] = _score(rebuilt, clean, motions)
            if case == "right":
                gains = _gain_by_distance(rebuilt, degraded, clean)
            step()
        results.append(
            ClipResult(
                clip=name,
                degradation=kind,
                input=_score(degraded, clean, motions),
                outputs=outputs,
                gain_by_distance=gains,
            )
        )
    return results


def _rebuild(loaded: LoadedBackbone, frames: Frames, reference: Frames | None) -> Frames:
    """Run a clip through the model as `enhance` does, without files."""
    backbone, device = loaded.backbone, loaded.device
    height, width = frames.shape[1:3]
    prepared = None
    if reference is not None:
        fitted = fit_image(reference, width, height, "cover")
        prepared = prepare_reference(backbone, fitted, device)
    budget = choose_budget(backbone.limits, height, width)
    state: ShotState | None = None
    rebuilt: list[Frames] = []
    size = backbone.limits.default_chunk
    for start in range(0, len(frames), size):
        clip = frames_to_clip(list(frames[start : start + size]), device)
        result = reconstruct(backbone, clip, prepared, state, budget)
        state = result.state
        rebuilt.append(clip_to_frames(result.clip, np.uint8))
    return np.concatenate(rebuilt)


def _score(frames: Frames, clean: Frames, motions: list[BlockMotion]) -> Scores:
    """Frame 0 is the reference itself and does not count."""
    pairs = list(zip(frames[1:], clean[1:], strict=True))
    return Scores(
        psnr=fmean(psnr(a, b) for a, b in pairs),
        ssim=fmean(ssim(a, b) for a, b in pairs),
        flicker=flicker(list(frames[1:]), list(clean[1:])),
        warping_error=warping_error(list(frames[1:]), motions),
    )


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
    return (
        f"| {name} | {fmean(s.psnr for s in scores):.2f} | {fmean(s.ssim for s in scores):.4f} "
        f"| {fmean(s.flicker for s in scores):.4f} | {fmean(s.warping_error for s in scores):.4f} |"
    )
