"""What tokenizers share in training: all of the network learns, and weights are kept in 16 bits."""

from __future__ import annotations

import json
import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from refvid.checkpoints.convert import read_weights
from refvid.errors import CheckpointMismatch, CheckpointUnavailable, OptionError
from refvid.training.batch import Batch
from refvid.training.clips import CachedClip, TrainingClip
from refvid.training.linear_fit import LinearFit
from refvid.training.loader import BatchSource
from refvid.training.recipes.recipe import ParameterGroup, Recipe, without_prefix
from refvid.training.sample_options import SampleOptions
from refvid.training.token_samples import TokenSampleDrawer

logger = logging.getLogger(__name__)

_FITTED_BATCHES = 32


class TokensRecipe(Recipe):
    """Clips become codes and clips again.

    Args:
        config: Sizes of the network, a dataclass.
    """

    network: nn.Module
    """What learns; refvid's own files have its weights."""

    block_frames: int
    """Frames of a sample."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup("network", list(self.network.parameters()), pretrained=False)]

    @abstractmethod
    def linear_pairs(self, batch: Batch) -> tuple[nn.Conv2d, Tensor, Tensor]:
        """The linear part of the decoder, its codes and what it should make of them."""

    @torch.no_grad()
    def begin(self, source: BatchSource) -> None:
        """Fit the linear part of the decoder to the first batches, before anything is learned."""
        fit: LinearFit | None = None
        for index in range(_FITTED_BATCHES):
            layer, codes, wanted = self.linear_pairs(source.draw(index))
            fit = fit or LinearFit(layer)
            fit.add(codes, wanted)
        assert fit is not None, "there are batches"
        fit.solve()

    def draw_from(
        self, clips: Sequence[TrainingClip | CachedClip], samples: SampleOptions, seed: int
    ) -> BatchSource:
        return TokenSampleDrawer(clips, samples, seed)

    def check_samples(self, samples: SampleOptions) -> None:
        if samples.frames != self.block_frames or samples.crop % 16 or samples.crop < 64:
            raise OptionError(
                f"{self.backbone} learns from samples.frames={self.block_frames} and a "
                "samples.crop that is a multiple of 16, of at least 64."
            )
        if not samples.consecutive:
            raise OptionError(
                f"{self.backbone} needs samples.consecutive: a block is a few frames."
            )

    def latent_frames(self, frames: int) -> int:  # noqa: ARG002  # the base class's
        raise OptionError(f"{self.backbone} has no latents to learn from.")

    def reverse_latents(self, latents: Tensor) -> Tensor:  # noqa: ARG002  # the same
        raise OptionError(f"{self.backbone} has no latents to learn from.")

    def weights_file(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
        metadata = {"config": json.dumps(asdict(self.config)), "backbone": self.backbone}
        weights = without_prefix(state, "network.")
        return {name: value.to(torch.float16) for name, value in weights.items()}, metadata


def begin_with(network: nn.Module, path: Path) -> None:
    """Take what fits of another tokenizer's weights, by name and shape; the rest stays random.

    Raises:
        CheckpointUnavailable: The file cannot be read.
        CheckpointMismatch: Nothing of it fits.
    """
    if not path.is_file():
        raise CheckpointUnavailable(f"--init: there is no file {path}.")
    own = network.state_dict()
    fitting = {
        name: value.float()
        for name, value in read_weights(path).items()
        if name in own and own[name].shape == value.shape
    }
    if not fitting:
        raise CheckpointMismatch(f"--init {path} holds no weights of such a network.")
    logger.info("%d of %d weights begin with those of %s", len(fitting), len(own), path)
    network.load_state_dict(fitting, strict=False)
