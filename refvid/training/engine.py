"""The training loop, on Hugging Face Accelerate: from one core to several nodes.

Accelerate places and spreads the network, accumulates and synchronises gradients, computes in mixed
precision, and saves networks, optimisers and random states. Here is what is particular: the order
of the data, the schedule by steps or by time, averaged weights, and checkpoints that are whole.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from refvid.checkpoints.checksums import note_checksums
from refvid.errors import OptionError, OutputError
from refvid.media.partial_file import partial_file
from refvid.training.averaging import WeightAverage
from refvid.training.batch import Batch
from refvid.training.checkpoint import (
    AVERAGE_FILE,
    RunProgress,
    partial_checkpoint,
    publish_checkpoint,
    read_progress,
    remove_leftovers,
)
from refvid.training.config import RunConfig, TrainConfig
from refvid.training.loader import BatchSource, draw_batches
from refvid.training.metrics import MetricsFile, write_pictures
from refvid.training.objective import make_objective
from refvid.training.recipes.recipe import Recipe
from refvid.training.schedule import rate_factor, share_done, stage_at

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)

_MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
_PRECISIONS = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step says of itself."""

    step: int
    loss: float
    seconds: float
    """Of the whole run so far."""


def make_accelerator(
    options: RunConfig, output: Path, precision: Literal["fp32", "bf16", "fp16"]
) -> Accelerator:
    """Find out where this process stands among those that train together.

    Raises:
        OptionError: A package is not installed, or the device cannot compute in this precision.
    """
    try:
        from accelerate import (  # noqa: PLC0415 -- an extra
            Accelerator,
            DistributedDataParallelKwargs,
            InitProcessGroupKwargs,
        )
    except ImportError as error:
        raise OptionError(
            f"Training needs more packages ({error}): pip install accelerate pydantic pyyaml"
        ) from error
    if options.tensorboard and find_spec("tensorboard") is None:
        raise OptionError("run.tensorboard needs a package more: pip install tensorboard")
    try:
        accelerator = Accelerator(
            cpu=options.device == "cpu",
            mixed_precision=_MIXED[precision],
            gradient_accumulation_steps=options.accumulate,
            log_with="tensorboard" if options.tensorboard else None,
            project_dir=output if options.tensorboard else None,
            kwargs_handlers=[
                # A step without a reference uses no attention, so that has no gradient.
                DistributedDataParallelKwargs(find_unused_parameters=True),
                # The others wait while one still fills its part of the cache.
                InitProcessGroupKwargs(timeout=timedelta(hours=12)),
            ],
        )
    except ValueError as error:
        raise OptionError(f"run.precision or run.device: {error}") from error
    if options.tensorboard:
        accelerator.init_trackers("tensorboard")
    return accelerator


class Trainer:
    """Network, optimiser, clock and data position; everything that a checkpoint holds.

    Args:
        recipe: What learns.
        config: How.
        stages: Where each stage of the curriculum has its batches from.
        valid: Held-out batches, the same at every validation.
        accelerator: From `make_accelerator`.
        workers: Processes that draw batches ahead.
    """

    def __init__(
        self,
        recipe: Recipe,
        config: TrainConfig,
        stages: Sequence[BatchSource],
        valid: Sequence[Batch],
        accelerator: Accelerator,
        workers: int = 0,
    ) -> None:
        self.config, self.accelerator, self.workers = config, accelerator, workers
        self.stages, self.valid = stages, valid
        options = config.optimizer
        groups = recipe.parameter_groups()
        self._shares = [options.pretrained_share if g.pretrained else 1.0 for g in groups]
        self.network, self.optimizer = accelerator.prepare(
            recipe,
            torch.optim.AdamW(
                [{"params": group.parameters, "name": group.name} for group in groups],
                lr=options.rate,
                betas=options.betas,
                weight_decay=options.weight_decay,
            ),
        )
        self.recipe: Recipe = accelerator.unwrap_model(self.network)
        self.average = WeightAverage(self.recipe, options.ema_decay)
        precision = _PRECISIONS[accelerator.mixed_precision]
        self.loss = make_objective(config, precision).to(accelerator.device)
        self.progress = RunProgress()
        self.valid_loss: float | None = None
        self._stage: int | None = None
        self._batches: Iterator[Batch] = iter(())

    @property
    def is_main(self) -> bool:
        """Whether this process tells and writes for all."""
        return bool(self.accelerator.is_main_process)

    @property
    def is_finished(self) -> bool:
        """Whether the planned length is reached."""
        return self._share_done() >= 1

    def resume(self, checkpoint: Path) -> None:
        """Go on from a checkpoint."""
        self.accelerator.load_state(str(checkpoint))
        self.average.load(load_file(checkpoint / AVERAGE_FILE))
        self.progress = read_progress(checkpoint)

    def run(self, must_stop: Callable[[], bool] = lambda: False) -> Iterator[StepReport]:
        """Train to the planned end, or until told to stop; yields after every step.

        Checkpoints on the way and at the end. Ask to stop with `must_stop`: interrupting a step
        would leave half of it.
        """
        options, progress = self.config.run, self.progress
        output = self.config.output
        metrics = None
        if self.is_main:
            remove_leftovers(output)
            metrics = MetricsFile(output / "metrics.jsonl", progress.step or -1)
            if progress.step == 0:
                metrics.write(step=0, loss_function=self.loss.describe())
        begun = saved = time.monotonic()
        if progress.step == 0:
            self._validate(metrics)
        saved_step = progress.step
        while not self.is_finished:
            started = time.monotonic()
            stop = must_stop()
            if options.max_minutes is not None:
                stop = stop or started - begun >= options.max_minutes * 60
            stop, due = self._agree(stop, started - saved >= options.checkpoint_minutes * 60)
            if due and progress.step > saved_step:
                self.save()
                saved, saved_step = time.monotonic(), progress.step
            if stop:
                break
            loss = self._step()
            progress.seconds += time.monotonic() - started
            self._tell(metrics, loss)
            yield StepReport(progress.step, loss, progress.seconds)
        if progress.step > saved_step:
            self.save()
        if options.tensorboard:
            self.accelerator.end_training()

    def _share_done(self) -> float:
        return share_done(self.config.run, self.progress.step, self.progress.seconds)

    def _agree(self, stop: bool, due: bool) -> tuple[bool, bool]:
        """Decide the same in all processes; the main one's clock is everyone's."""
        if self.accelerator.num_processes == 1:
            return stop, due
        clock = self.progress.seconds if self.is_main else 0.0
        mine = [float(stop), float(due and self.is_main), clock]
        # Kept in double precision where a device has it: clocks must not drift.
        exact = torch.float32 if self.accelerator.device.type == "mps" else torch.float64
        told = torch.tensor(mine, dtype=exact, device=self.accelerator.device)
        anyone, main, self.progress.seconds = self.accelerator.reduce(told, "sum").tolist()
        return anyone > 0, main > 0

    def _step(self) -> float:
        """One optimiser step over all accumulated batches; gives the mean loss."""
        accelerator, options = self.accelerator, self.config.optimizer
        done = self._share_done()
        factor = rate_factor(options, self.progress.step, done)
        for group, share in zip(self.optimizer.param_groups, self._shares, strict=True):
            group["lr"] = options.rate * share * factor
        losses = []
        for _ in range(self.config.run.accumulate):
            batch = self._next_batch(done)
            with accelerator.accumulate(self.network):
                loss: Tensor = self.loss(self.network(batch), batch)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    norm = accelerator.clip_grad_norm_(self.network.parameters(), options.clip_norm)
                    # Mixed precision with scaled gradients skips such steps on its own.
                    if accelerator.scaler is None and not torch.isfinite(norm):
                        logger.warning("step %d: the gradient is not finite", self.progress.step)
                        self.optimizer.zero_grad()
                self.optimizer.step()
                self.optimizer.zero_grad()
            losses.append(loss.detach())
        self.average.update(self.progress.step)
        self.progress.step += 1
        return float(accelerator.reduce(torch.stack(losses).mean(), "mean"))

    def _next_batch(self, done: float) -> Batch:
        stage = stage_at([stage.share for stage in self.config.stages], done)
        processes = self.accelerator.num_processes
        if stage != self._stage:
            if self._stage is not None:
                logger.info("stage %d begins", stage + 1)
            self._stage = stage
            self._batches = draw_batches(
                self.stages[stage],
                self.progress.position + self.accelerator.process_index,
                processes,
                self.workers,
            )
        self.progress.position += processes
        return next(self._batches).to(self.accelerator.device)

    def _tell(self, metrics: MetricsFile | None, loss: float) -> None:
        """Write what is due after a step."""
        options, progress = self.config.run, self.progress
        progress.losses.append(loss)
        if progress.step % options.log_steps == 0:
            mean = sum(progress.losses) / len(progress.losses)
            progress.losses.clear()
            rate = self.optimizer.param_groups[0]["lr"]
            self._write(metrics, loss=mean, learning_rate=rate)
            logger.info("step %d, loss %.4f", progress.step, mean)
        if progress.step % options.valid_steps == 0 or self.is_finished:
            self._validate(metrics)
        elif options.picture_steps and progress.step % options.picture_steps == 0:
            with self.average.applied():
                self._write_pictures()

    def _write(self, metrics: MetricsFile | None, **values: float) -> None:
        step = self.progress.step
        if metrics is not None:
            minutes = round(self.progress.seconds / 60, 3)
            metrics.write(step=step, **values, stage=(self._stage or 0) + 1, minutes=minutes)
        if self.config.run.tensorboard:
            self.accelerator.log(values, step=step)

    @torch.no_grad()
    def _validate(self, metrics: MetricsFile | None) -> None:
        """Loss of the averaged weights on the held-out batches."""
        accelerator = self.accelerator
        total = torch.zeros(2, device=accelerator.device)
        with self.average.applied():
            for number, batch in enumerate(self.valid):
                if number % accelerator.num_processes == accelerator.process_index:
                    moved = batch.to(accelerator.device)
                    loss = self.loss(self.recipe(moved), moved)
                    total += torch.stack((loss, torch.ones_like(loss)))
            options = self.config.run
            if options.picture_steps and self.progress.step % options.picture_steps == 0:
                self._write_pictures()
        mean, count = accelerator.reduce(total, "sum").tolist()
        if count:
            self.valid_loss = mean / count
            self._write(metrics, valid_loss=self.valid_loss)
            logger.info("step %d, validation loss %.4f", self.progress.step, self.valid_loss)

    @torch.no_grad()
    def _write_pictures(self) -> None:
        if self.is_main and self.valid:
            batch = self.valid[0].to(self.accelerator.device)
            path = self.config.output / "pictures" / f"step-{self.progress.step:08d}.png"
            write_pictures(path, batch, self.recipe(batch))

    def save(self) -> None:
        """Write a checkpoint; a crash while writing leaves the one before."""
        partial = partial_checkpoint(self.config.output, self.progress.step)
        if self.is_main:
            partial.mkdir(parents=True, exist_ok=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(partial))
        if self.is_main:
            average = {name: value.contiguous() for name, value in self.average.values.items()}
            save_file(average, partial / AVERAGE_FILE)
        self.accelerator.wait_for_everyone()
        if self.is_main:
            published = publish_checkpoint(partial, self.progress, self.config.run.keep_checkpoints)
            logger.debug("saved %s: %s", published, asdict(self.progress))
        self.accelerator.wait_for_everyone()

    def write_weights(self, path: Path) -> None:
        """Write the averaged weights as a file that `--model PATH` loads.

        Raises:
            OutputError: It cannot be written.
        """
        with self.average.applied():
            write_weights(self.recipe, self.recipe.state_dict(), path, overwrite=True)


def write_weights(
    recipe: Recipe, state: Mapping[str, Tensor], path: Path, *, overwrite: bool
) -> None:
    """Write a recipe's state as a file that `--model PATH` loads; its metadata holds the sizes.

    Raises:
        OutputError: The file exists or cannot be written.
    """
    weights, metadata = recipe.weights_file(state)
    with partial_file(path, overwrite=overwrite) as partial:
        try:
            save_file(weights, partial, metadata={**metadata, **note_checksums(weights)})
        except SafetensorError as error:
            raise OutputError(f"Cannot write {path}: {error}.") from error  # a full disk
