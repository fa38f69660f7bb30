"""What training needs to know of a backbone: what learns, how fast, and how a batch is decoded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from refvid.training.batch import Batch
from refvid.training.clips import CachedClip, TrainingClip
from refvid.training.loader import BatchSource
from refvid.training.sample_options import SampleOptions
from refvid.training.samples import SampleDrawer

if TYPE_CHECKING:
    from refvid.training.config import TrainConfig
    from refvid.training.data import Processes, TrainingData


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Parameters that share a learning rate."""

    name: str
    parameters: list[nn.Parameter]
    pretrained: bool
    """Whether they learn at a share of the base rate (the paper: a tenth)."""


class Recipe(nn.Module, ABC):
    """One backbone with its frozen encoder, as the engine trains it.

    A module, because that is what can be spread over devices: `forward` is one training step's
    encoding and decoding.
    """

    backbone: ClassVar[str]
    """Name in weights files."""

    latent_stride: ClassVar[int] = 8
    """Pixels per latent position."""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Decode a batch's clip or latents with its reference: (B, 3, T, H, W), near [-1, 1]."""

    @abstractmethod
    def parameter_groups(self) -> list[ParameterGroup]:
        """Everything that learns; the rest is frozen."""

    @abstractmethod
    def check_samples(self, samples: SampleOptions) -> None:
        """Refuse samples that the backbone cannot decode.

        Raises:
            OptionError: The number of frames, or the reference's size, is impossible.
        """

    def draw_from(
        self, clips: Sequence[TrainingClip | CachedClip], samples: SampleOptions, seed: int
    ) -> BatchSource:
        """Give what draws samples for this network."""
        return SampleDrawer(clips, samples, seed)

    def prepare_data(self, config: TrainConfig, processes: Processes) -> TrainingData:
        """Fill the cache and give what draws samples in every stage; see `data.prepare_data`."""
        from refvid.training.data import prepare_data  # noqa: PLC0415 -- it takes recipes

        return prepare_data(config, processes, self)

    def begin(self, source: BatchSource) -> None:
        """Set what need not be learned from the first stage's batches, in a run from nothing."""

    @abstractmethod
    def latent_frames(self, frames: int) -> int:
        """Latent frames of a clip that begins a shot."""

    @abstractmethod
    def reverse_latents(self, latents: Tensor) -> Tensor:
        """Latents (B, C, t, h, w) of the same clip backwards in time.

        RefDecoder, arXiv:2605.15196, appendix G: decode with the plain decoder, reverse, encode.
        """

    @abstractmethod
    def weights_file(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Weights and metadata of the file that `--model PATH` loads, from a `state_dict`."""


def without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under a prefix, without it, ready to be written."""
    return {
        name.removeprefix(prefix): value.detach().contiguous().cpu()
        for name, value in state.items()
        if name.startswith(prefix)
    }


def full_precision(device: torch.device) -> torch.autocast:
    """What is exact stays exact, whatever the caller's autocast says."""
    return torch.autocast(device.type, enabled=False)
