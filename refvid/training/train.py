"""`refvid train`: teach a backbone's decoder to use references, on your own videos."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import torch

from refvid.device import choose_device, cpu_has_bf16
from refvid.errors import (
    CheckpointMismatch,
    OptionError,
    OutOfMemory,
    OutputError,
    is_out_of_memory,
)
from refvid.progress import Progress, ProgressCallback
from refvid.training.checkpoint import find_checkpoints, newest_checkpoint
from refvid.training.config import TrainConfig
from refvid.training.data import Processes, check_folders
from refvid.training.engine import StepReport, Trainer, make_accelerator
from refvid.training.latent_data import prepare_latents
from refvid.training.loader import Alternating, BatchSource
from refvid.training.make_recipe import make_recipe
from refvid.training.read_config import SAVED_CONFIG, build_config, save_config

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What a run learned."""

    weights: Path
    """What `--model` loads."""

    steps: int
    minutes: float
    loss: float
    """Of the last step."""

    compared: str
    """The loss in words."""

    valid_loss: float | None
    """At the last validation."""

    finished: bool
    """Whether the planned length is reached; else `--resume` goes on."""

    signal: int | None
    """What stopped it, if it was a signal."""

    is_main: bool
    """Whether this process speaks for all that trained together."""

    def to_json(self) -> dict[str, Any]:
        return {
            "weights": str(self.weights),
            "steps": self.steps,
            "minutes": round(self.minutes, 3),
            "loss": None if math.isnan(self.loss) else self.loss,
            "loss_function": self.compared,
            "valid_loss": self.valid_loss,
            "finished": self.finished,
        }


def train(
    config: TrainConfig, on_progress: ProgressCallback, *, resume: bool = False
) -> TrainReport:
    """Fill the cache, then train to the planned length, or until told to stop.

    The output folder gets the weights, `checkpoints/`, `metrics.jsonl`, `pictures/`, the cache, and
    `config.yaml` with everything that was decided. Ctrl-C and SIGTERM end the step and save.

    Args:
        config: Of the run.
        on_progress: Counts steps, or seconds where the length is in minutes.
        resume: Go on from the newest checkpoint in the output folder; without one, begin.

    Raises:
        OptionError: Something in the config is impossible, or a package is missing.
        InputError: A folder is missing or holds nothing to learn from.
        OutputError: The output folder has a run and `resume` is not set, or cannot be written.
        OutOfMemory: A step does not fit.
        CheckpointError: The weights to begin with cannot be had, or the run to go on with is of
            another network.
    """
    if config.run.steps is None and config.run.minutes is None:
        raise OptionError("A run has a planned length: give --steps or --minutes.")
    check_folders(config)
    begun = bool(find_checkpoints(config.output))
    if begun and not resume:
        raise OutputError(
            f"{config.output} holds a run: go on with --resume, or choose another --output folder."
        )
    if begun:
        _check_same_network(config)
    accelerator = make_accelerator(config.run, config.output, _precision(config))
    recipe, sizes = make_recipe(config, fresh=not begun)
    for stage in config.stages:
        recipe.check_samples(stage.apply(config.samples))
    config = replace(config, network=sizes)
    if accelerator.is_main_process:
        _save_config(config)
    processes = Processes(
        accelerator.process_index, accelerator.num_processes, accelerator.wait_for_everyone
    )
    data = recipe.prepare_data(config, processes)
    stages: list[BatchSource] = [*data.stages]
    if config.latents.folder is not None:
        recipe.to(accelerator.device)
        latents = prepare_latents(config, recipe, accelerator)
        stages = [
            Alternating(clips, saved, accelerator.num_processes)
            for clips, saved in zip(stages, latents, strict=True)
        ]
    if not begun and config.init is None:
        recipe.begin(data.stages[0])
    trainer = Trainer(
        recipe, config, stages, data.valid, accelerator, _drawing_workers(config, accelerator)
    )
    if begun:
        trainer.resume(newest_checkpoint(config.output))
    logger.info("loss: %s", trainer.loss.describe())
    loss = float("nan")
    with _stop_on_signals() as caught, _failures_named(config.output):
        for report in trainer.run(lambda: bool(caught)):
            loss = report.loss
            if trainer.is_main:
                on_progress(_progress(config, report))
        weights = config.output / f"{config.backbone}.safetensors"
        if trainer.is_main:
            trainer.write_weights(weights)
    return TrainReport(
        weights=weights,
        steps=trainer.progress.step,
        minutes=trainer.progress.seconds / 60,
        loss=loss,
        compared=trainer.loss.describe(),
        valid_loss=trainer.valid_loss,
        finished=trainer.is_finished,
        signal=caught[0] if caught else None,
        is_main=trainer.is_main,
    )


@contextmanager
def _failures_named(run: Path) -> Iterator[None]:
    """Say what stopped a run, and that its last checkpoint is there."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{run}: {error.strerror or error}. --resume goes on from the last checkpoint."
        ) from error
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            "There is not enough memory for a step: lower samples.clips, samples.crop or the "
            "frames of the stages; run.accumulate makes up for fewer clips."
        ) from error


def _check_same_network(config: TrainConfig) -> None:
    """A checkpoint fits the network that it was made of."""
    saved = build_config(saved=config.output / SAVED_CONFIG)
    if saved.backbone != config.backbone:
        raise CheckpointMismatch(
            f"{config.output} holds a run of the backbone {saved.backbone}, not {config.backbone}."
        )
    other = [
        key for key, value in config.network.items() if saved.network.get(key) != _plain(value)
    ]
    if other:
        raise CheckpointMismatch(
            f"{config.output} holds a run of a network of other sizes ({', '.join(other)})."
        )


def _plain(value: Any) -> Any:
    """As it reads in a file, which has lists alone."""
    return list(value) if isinstance(value, tuple) else value


def _save_config(config: TrainConfig) -> None:
    try:
        # How long one call may take is no part of the run.
        config = replace(config, run=replace(config.run, max_minutes=None))
        save_config(config, config.output / SAVED_CONFIG)
    except OSError as error:
        raise OutputError(f"Cannot write {config.output}: {error.strerror or error}.") from error


def _precision(config: TrainConfig) -> Literal["fp32", "bf16", "fp16"]:
    if config.run.precision != "auto":
        return config.run.precision
    device = choose_device(config.run.device).type
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if device == "cpu" and cpu_has_bf16() else "fp32"


def _drawing_workers(config: TrainConfig, accelerator: Any) -> int:
    if config.data.workers is not None:
        return config.data.workers
    # Beside a CPU, other processes would only take its cores away.
    return 0 if accelerator.device.type == "cpu" else 4


def _progress(config: TrainConfig, report: StepReport) -> Progress:
    if config.run.steps is not None:
        return Progress(report.step, config.run.steps)
    planned = round((config.run.minutes or 0) * 60)
    return Progress(min(planned, round(report.seconds)), planned)


@contextmanager
def _stop_on_signals() -> Iterator[list[int]]:
    """Collect Ctrl-C, SIGTERM and SIGHUP, so that a step is never left half done; the second one
    counts at once.
    """
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if caught:
            signal.default_int_handler(number, frame)
        caught.append(number)
        logger.warning("stopping after this step; everything is saved")

    before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}
    try:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            # What is ignored stays so: SIGHUP under `nohup`.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, note)
    except ValueError:
        pass  # not the main thread: whoever runs it there has signals of its own
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
