"""What the small backbones share: a fixed codec, frame by frame, and a decoder that is all new."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from refvid.training.recipes.recipe import ParameterGroup, Recipe, without_prefix


class FramewiseRecipe(Recipe):
    """Every latent frame is one frame; weights go to refvid's own files, with the sizes.

    Args:
        config: Sizes of the network, a dataclass.
        unconditional: Train it without references.
    """

    decoder: nn.Module
    """What learns; the backbone of trained weights has it under the same name."""

    def __init__(self, config: Any, *, unconditional: bool = False) -> None:
        super().__init__()
        self.config, self.unconditional = config, unconditional

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup("decoder", list(self.decoder.parameters()), pretrained=False)]

    def latent_frames(self, frames: int) -> int:
        return frames

    def reverse_latents(self, latents: Tensor) -> Tensor:
        """Nothing needs decoding."""
        return latents.flip(2)

    def weights_file(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
        metadata = {"config": json.dumps(asdict(self.config)), "backbone": self.backbone}
        return without_prefix(state, "decoder."), metadata
