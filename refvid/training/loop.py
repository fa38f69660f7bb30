"""The training loop of the mini backbone's decoder; its codec has nothing to learn."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import math
import random
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from refvid.models.mini.codec import PatchCodec
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder
from refvid.models.mini.matching import index_reference, match_tokens
from refvid.training.losses import reconstruction_loss
from refvid.training.samples import Batch, SampleDrawer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopOptions:
    """How long and how fast to learn."""

    output: Path
    """Folder for `state.pt` (everything needed to go on) and `mini.safetensors`."""

    minutes: float
    """Length of the whole run, over all resumptions; the learning rate ends at its end."""

    learning_rate: float = 1e-3
    warmup_steps: int = 200
    weight_decay: float = 1e-4
    clip_norm: float = 0.5
    ema_decay: float = 0.999
    """The exported weights are an exponential moving average of the learned ones."""

    checkpoint_minutes: float = 2.0
    bf16: bool = True
    """Compute convolutions and products in bfloat16; weights stay in float32."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step says of itself."""

    step: int
    loss: float
    """Mean since the last report."""

    minutes: float
    learning_rate: float


class Trainer:
    """Weights, optimiser, clock and data position; everything that a checkpoint holds."""

    def __init__(self, config: MiniConfig, drawer: SampleDrawer, options: LoopOptions) -> None:
        self.config, self.drawer, self.options = config, drawer, options
        self.codec = PatchCodec(config)
        self.decoder: MiniDecoder = MiniDecoder(config).to(
            memory_format=torch.channels_last  # type: ignore[call-overload]  # not in torch's stubs
        )
        self.ema = copy.deepcopy(self.decoder).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.decoder.parameters(),
            lr=options.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=options.weight_decay,
        )
        self.step = 0
        self.seconds = 0.0

    def run(self) -> Generator[StepReport]:
        """Train until the time is up; checkpoints on the way, at the end, and when closed."""
        saved = self.seconds
        losses: list[float] = []
        try:
            while self.seconds < self.options.minutes * 60:
                started = time.monotonic()
                losses.append(self._train_step())
                self.seconds += time.monotonic() - started
                if self.step % 20 == 0:
                    rate = self.optimizer.param_groups[0]["lr"]
                    mean = sum(losses) / len(losses)
                    yield StepReport(self.step, mean, self.seconds / 60, rate)
                    losses.clear()
                if self.seconds - saved > self.options.checkpoint_minutes * 60:
                    saved = self.seconds
                    self.save()
        finally:
            self.save()

    def _train_step(self) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        loss = self.loss(self.drawer.draw())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own annotation
        norm = torch.nn.utils.clip_grad_norm_(self.decoder.parameters(), self.options.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        else:
            log.warning("step %d skipped: the gradient is not finite", self.step)
        self.step += 1
        self._update_ema()
        return loss.item()

    def loss(self, batch: Batch) -> Tensor:
        """Reconstruction loss of one batch."""
        clips = batch.degraded.shape[0]
        # Frame by frame over all clips: attention takes one frame per reference.
        frames = batch.degraded.transpose(0, 1).flatten(0, 1)
        target = batch.clean.transpose(0, 1).flatten(0, 1)
        frames = self.codec.decode(self.codec.encode(frames))
        device = frames.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.options.bf16):
            attended = None
            if batch.reference is not None:
                index = index_reference(batch.reference)
                keys = self.decoder.attention.map_reference(batch.reference)
                found = [
                    self.decoder.attention(
                        part, keys, match_tokens(part, index, origin=batch.origin)
                    )
                    for part in torch.split(frames, clips)
                ]
                attended = type(found[0])(
                    torch.cat([f.values for f in found]), torch.cat([f.statistics for f in found])
                )
            output = self.decoder(frames, attended)
        return reconstruction_loss(output.float(), target)

    def _learning_rate(self) -> float:
        options = self.options
        warm = min(1.0, (self.step + 1) / options.warmup_steps)
        done = min(1.0, self.seconds / (options.minutes * 60))
        return options.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

    @torch.no_grad()
    def _update_ema(self) -> None:
        # Early weights are forgotten faster, or the average would lag behind for long.
        decay = min(self.options.ema_decay, (1 + self.step) / (10 + self.step))
        for mean, value in zip(self.ema.parameters(), self.decoder.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)

    def save(self) -> None:
        """Write state and weights; a crash while writing leaves the previous ones."""
        self.options.output.mkdir(parents=True, exist_ok=True)
        state = {
            "config": asdict(self.config),
            "decoder": self.decoder.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "data": self.drawer.rng.getstate(),
        }
        with _replacing(self.options.output / "state.pt") as path:
            torch.save(state, path)
        with _replacing(self.options.output / "mini.safetensors") as path:
            export_weights(self.ema, self.config, path)

    def load(self, path: Path) -> None:
        """Go on from a `state.pt`."""
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self.decoder.load_state_dict(state["decoder"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.drawer.rng.setstate(state["data"])


def export_weights(decoder: MiniDecoder, config: MiniConfig, path: Path) -> None:
    """Write the file that `--model PATH` loads: weights, and the config as metadata."""
    weights = {name: value.contiguous() for name, value in decoder.state_dict().items()}
    save_file(weights, path, metadata={"config": json.dumps(asdict(config)), "backbone": "mini"})


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}.partial")
    yield partial
    partial.replace(path)


def seeded(seed: int) -> random.Random:
    """Seed torch and give the data's own generator."""
    torch.manual_seed(seed)
    return random.Random(seed)
