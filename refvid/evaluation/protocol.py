"""`refvid evaluate --task restore`: degrade clips in fixed ways, bring them back, and measure.

Every clip at its own size; three degradations, each through real H.264; references as the cases
say; PSNR in RGB, mean over frames 1 and later, then over clips and degradations. Fixed seeds: the
same clips and weights give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from refvid.errors import InputError
from refvid.evaluation.cases import CASES, NEAR, Job, plan_jobs, references_of
from refvid.evaluation.clips import find_clips, read_clip, write_report
from refvid.evaluation.harmless import (
    HARMLESS_FRAMES,
    HarmResult,
    count_runs,
    made_clips,
    measure_harm,
)
from refvid.evaluation.measures import Judge, Networks, frame_psnr, load_networks
from refvid.evaluation.rebuilding import Frames, Picture, rebuild_with
from refvid.evaluation.report import EvaluationReport, InputScores, Run, read_summary
from refvid.media.outputs import check_outputs
from refvid.progress import Progress, ProgressCallback
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.options import ModelOptions
from refvid.training.degradations import EVALUATION_DEGRADATIONS, degrade
from refvid.wording import counted

FEWEST_FRAMES = 3
"""Of a clip: the reference, and two that can flicker."""

_MEASURED = {"exact", "none", "unrelated"}
"""Cases of which more than PSNR is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """One evaluation."""

    clips: Path
    """Folder of clean clips."""

    model: ModelOptions = field(default_factory=ModelOptions)
    cases: tuple[str, ...] = tuple(CASES)
    frames: int = 49
    """Frames of each clip at most, at least `FEWEST_FRAMES`; the first is the reference."""

    max_clips: int | None = None
    output: Path | None = None
    """Also write the report there: JSON if the name ends so, else Markdown."""

    against: Path | None = None
    """An earlier report, as JSON, to compare with."""


def evaluate(options: EvaluateOptions, on_progress: ProgressCallback) -> EvaluationReport:
    """Run the protocol.

    Raises:
        InputError: The folder holds fewer than two clips, or one cannot be read, or the earlier
            report cannot.
        OptionError, OutputError: The report would replace an input, or cannot be written.
        CheckpointError, DeviceError: The model is not to be had.
    """
    if options.output is not None:
        read = [path for path in (options.clips, options.against) if path is not None]
        check_outputs([options.output], read, overwrite=True)
    paths = find_clips(options.clips, options.max_clips)
    if len(paths) < 2:
        raise InputError(
            f"{options.clips} holds {counted(len(paths), 'clip')}: at least two are needed, "
            "because each serves as the other's unrelated reference."
        )
    before = None if options.against is None else read_summary(options.against)
    loaded = choose_backbone(options.model)
    # Also a look at all of them before the work begins.
    pictures = [read_clip(path, FEWEST_FRAMES, fewest=FEWEST_FRAMES)[0] for path in paths]
    cases = options.cases
    evaluation = _Evaluation(loaded, cases, load_networks(loaded.device), on_progress, len(paths))
    for position, path in enumerate(paths):
        unrelated = pictures[(position + len(paths) // 2) % len(paths)]
        clean = read_clip(path, options.frames)
        evaluation.add_clip(path.stem, clean, unrelated)
        if "harmless" in cases:
            evaluation.add_harm(path.stem, clean[:HARMLESS_FRAMES], unrelated)
    if "harmless" in cases:
        for position, (name, clean) in enumerate(made_clips(pictures)):
            evaluation.add_harm(name, clean, pictures[(position + 1) % len(pictures)])
    report = evaluation.report(before)
    write_report(report, options.output)
    return report


class _Evaluation:
    """Collects the results, clip by clip: no more than one clip is in memory."""

    def __init__(
        self,
        loaded: LoadedBackbone,
        cases: tuple[str, ...],
        networks: Networks,
        on_progress: ProgressCallback,
        clips: int,
    ) -> None:
        self.loaded, self.cases, self.networks = loaded, cases, networks
        self.on_progress = on_progress
        self.jobs = plan_jobs(cases)
        self.done, self.total = 0, clips * len(self.jobs) * len(EVALUATION_DEGRADATIONS)
        if "harmless" in cases:
            self.total += count_runs(clips)
        self.runs: list[Run] = []
        self.inputs: list[InputScores] = []
        self.harm: list[HarmResult] = []
        self.clean_warping: dict[str, float] = {}

    def add_clip(self, name: str, clean: Frames, unrelated: Picture) -> None:
        """Run all jobs on a clip."""
        if not self.jobs:
            return
        judge = None
        if any(job.case in _MEASURED for job in self.jobs):
            judge = Judge(clean[: NEAR[1] + 1], self.networks)
            self.clean_warping[name] = judge.clean_warping_error()
        for degradation, how in EVALUATION_DEGRADATIONS.items():
            degraded = degrade(clean, how)
            if judge is not None:
                scores = judge.score(degraded[: NEAR[1] + 1])
                self.inputs.append(InputScores(clip=name, degradation=degradation, scores=scores))
            for job in self.jobs:
                references = references_of(job, clean, degraded, unrelated)
                self.runs.append(
                    self._run(job, clean, degraded, references, judge, (name, degradation))
                )
                self._step()

    def _run(
        self,
        job: Job,
        clean: Frames,
        degraded: Frames,
        references: list[Picture],
        judge: Judge | None,
        names: tuple[str, str],
    ) -> Run:
        count = len(clean) if job.whole else NEAR[1] + 1
        rebuilt = rebuild_with(self.loaded, degraded[:count], references)
        measured = judge if job.case in _MEASURED else None
        return Run(
            case=job.case,
            variant=job.variant,
            clip=names[0],
            degradation=names[1],
            psnr=frame_psnr(rebuilt, clean[:count]),
            input_psnr=frame_psnr(degraded[:count], clean[:count]),
            scores=measured.score(rebuilt[: NEAR[1] + 1]) if measured else None,
        )

    def add_harm(self, name: str, clean: Frames, unrelated: Picture) -> None:
        """See whether a clip is harmed."""
        rebuild: Callable[[Frames, Sequence[Picture]], Frames] = partial(rebuild_with, self.loaded)
        self.harm += measure_harm(name, clean, unrelated, rebuild, self._step)

    def _step(self) -> None:
        self.done += 1
        self.on_progress(Progress(self.done, self.total))

    def report(self, before: dict[str, float] | None) -> EvaluationReport:
        """All that was found; a case for which no clip was long enough is skipped."""
        skipped: dict[str, str] = {}
        is_long = any(len(run.psnr) > NEAR[1] + 1 for run in self.runs)
        if "far" in self.cases and not is_long:
            skipped["far"] = f"no clip has frames after {NEAR[1]}"
        return EvaluationReport(
            model=self.loaded.name,
            cases=tuple(case for case in self.cases if case not in skipped),
            skipped=skipped,
            runs=tuple(self.runs),
            inputs=tuple(self.inputs),
            harm=tuple(self.harm),
            clean_warping_error=self.clean_warping,
            before=before,
        )
