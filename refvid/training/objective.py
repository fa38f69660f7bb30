"""What a step's output is judged by: each task has its own."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from refvid.training.batch import Batch
from refvid.training.config import TrainConfig
from refvid.training.loss_config import StyleLossConfig
from refvid.training.losses import TrainingLoss
from refvid.training.style_losses import StyleLoss


class Objective(nn.Module, ABC):
    """Gives the loss of a step."""

    @abstractmethod
    def describe(self) -> str:
        """What is compared, in words."""

    @abstractmethod
    def forward(self, output: Tensor, batch: Batch) -> Tensor:
        """Judge the output (B, 3, T, H, W), near [-1, 1], that a batch led to."""


def make_objective(config: TrainConfig, precision: torch.dtype = torch.float32) -> Objective:
    """The objective of a run.

    Args:
        config: Of the run.
        precision: What it computes in; losses do so where that does not harm them.

    Raises:
        OptionError: A perceptual network is asked for and cannot be had.
        CheckpointError: Its weights are damaged.
    """
    if config.task != "style":
        return Likeness(TrainingLoss(config.loss, precision))
    if config.data.triplets is None:
        return Style(config.style_loss)
    likeness = Likeness(TrainingLoss(config.loss, precision))
    if config.style_loss.beside_pairs:
        return Both(likeness, Style(config.style_loss), config.style_loss.beside_pairs)
    return likeness


class Likeness(Objective):
    """Error against the batch's target."""

    def __init__(self, loss: TrainingLoss) -> None:
        super().__init__()
        self.loss = loss

    def describe(self) -> str:
        return self.loss.describe()

    def forward(self, output: Tensor, batch: Batch) -> Tensor:
        if batch.supervised is not None:
            output = output[:, :, batch.supervised : batch.supervised + 1]
        loss: Tensor = self.loss(output, batch.target, batch.seed, batch.frame_error)
        return loss


class Style(Objective):
    """Likeness to the style in texture, to the clip in structure and in its motion."""

    def __init__(self, config: StyleLossConfig) -> None:
        super().__init__()
        self.loss = StyleLoss(config)

    def describe(self) -> str:
        return self.loss.describe()

    def forward(self, output: Tensor, batch: Batch) -> Tensor:
        assert batch.clip is not None, "the drawers of styles give the clip"
        assert batch.reference is not None, "and the style"
        assert batch.painted is not None, "and the painting"
        loss: Tensor = self.loss(output, batch.clip, batch.reference, batch.painted.painted)
        return loss


class Both(Objective):
    """A first objective, and a weighted second one beside it."""

    def __init__(self, first: Objective, second: Objective, weight: float) -> None:
        super().__init__()
        self.first, self.second, self.weight = first, second, weight

    def describe(self) -> str:
        return f"{self.first.describe()} + {self.weight:g} ({self.second.describe()})"

    def forward(self, output: Tensor, batch: Batch) -> Tensor:
        total: Tensor = self.first(output, batch) + self.weight * self.second(output, batch)
        return total
