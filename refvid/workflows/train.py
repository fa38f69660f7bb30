"""`refvid train`: make weights for the mini backbone from folders of videos and photographs."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from refvid.errors import InputError, OptionError, OutputError
from refvid.models.mini.config import MiniConfig
from refvid.training.clips import ClipCacheOptions, build_cache, load_cache
from refvid.training.loop import LoopOptions, Trainer, seeded
from refvid.training.samples import SampleDrawer, SampleOptions
from refvid.workflows.progress import Progress, ProgressCallback

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """One training run."""

    videos: Path
    """Folder of clean clips; those of one source start with the same word before a `_`."""

    output: Path
    """Folder for the cache, the state and the weights."""

    images: Path | None = None
    """Folder of photographs, which become clips by camera paths."""

    exclude: tuple[str, ...] = ()
    """File names to leave out."""

    minutes: float = 60.0
    """Length of the whole run, over all resumptions."""

    resume: bool = False
    """Go on where the output folder stopped."""

    seed: int = 0
    samples: SampleOptions = field(default_factory=SampleOptions)
    config: MiniConfig = field(default_factory=MiniConfig)

    def __post_init__(self) -> None:
        if self.minutes <= 0:
            raise OptionError(f"A run needs more than {self.minutes:g} minutes.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What a run learned."""

    weights: Path
    steps: int
    minutes: float
    loss: float
    """Mean of the last steps."""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "weights": str(self.weights)}


def train(options: TrainOptions, on_progress: ProgressCallback) -> TrainReport:
    """Fill the cache, then train until the time is up; progress counts seconds.

    The output folder gets `mini.safetensors` (what `--model` loads), `state.pt` (what `--resume`
    needs) and `log.jsonl`, one line per 20 steps.

    Raises:
        InputError: A folder is missing or holds nothing to learn from.
        OutputError: The output folder has a state and `resume` is not set.
    """
    for folder in (options.videos, options.images):
        if folder is not None and not folder.is_dir():
            raise InputError(f"{folder} is no folder.")
    state = options.output / "state.pt"
    if state.exists() and not options.resume:
        raise OutputError(
            f"{state} exists: go on with --resume, or choose another --output folder."
        )
    cache = options.output / "cache"
    for done, total in build_cache(
        ClipCacheOptions(
            videos=options.videos,
            images=options.images,
            cache=cache,
            exclude=options.exclude,
            seed=options.seed,
        )
    ):
        log.info("prepared %d of %d clips", done, total)
    clips = load_cache(cache)
    drawer = SampleDrawer(clips, options.samples, seeded(options.seed))
    if not drawer.groups:
        raise InputError(
            f"{options.videos} holds no clip of at least {options.samples.crop} pixels a side."
        )
    trainer = Trainer(
        options.config, drawer, LoopOptions(output=options.output, minutes=options.minutes)
    )
    if options.resume and state.exists():
        trainer.load(state)
    loss = float("nan")
    seconds = round(options.minutes * 60)
    with (options.output / "log.jsonl").open("a", encoding="utf-8") as metrics:
        for report in trainer.run():
            loss = report.loss
            metrics.write(json.dumps(asdict(report)) + "\n")
            metrics.flush()
            log.info("step %d, loss %.4f", report.step, report.loss)
            on_progress(Progress(min(seconds, round(report.minutes * 60)), seconds))
    return TrainReport(
        weights=options.output / "mini.safetensors",
        steps=trainer.step,
        minutes=trainer.seconds / 60,
        loss=loss,
    )
