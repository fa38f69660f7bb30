"""What the large backbones share: a pretrained autoencoder, to which the attention is new."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from refvid.errors import OptionError
from refvid.models.videovaeplus.autoencoder import VideoVaePlusAutoencoder
from refvid.models.wan.autoencoder import WanAutoencoder
from refvid.training.batch import Batch
from refvid.training.recipes.recipe import ParameterGroup, Recipe, full_precision, without_prefix
from refvid.training.sample_options import SampleOptions

Model = TypeVar("Model", WanAutoencoder, VideoVaePlusAutoencoder)


class PretrainedRecipe(Recipe, Generic[Model]):
    """The encoder is frozen, the decoder learns slowly, what is new at the full rate.

    RefDecoder, arXiv:2605.15196, appendix B.2.
    """

    model: Model

    reference_tokens: ClassVar[str]
    """Name of the module that embeds references."""

    new_keys: ClassVar[tuple[str, ...]]
    """Beginnings of the keys that the plain autoencoder does not have, besides."""

    plain_prefix: ClassVar[str] = ""
    """What stands before the plain autoencoder's keys in the model."""

    def __init__(self, model: Model, *, unconditional: bool = False) -> None:
        super().__init__()
        self.unconditional = unconditional
        self.model = model.float().requires_grad_(False)
        for group in self.parameter_groups():
            for parameter in group.parameters:
                parameter.requires_grad_(True)

    @abstractmethod
    def _new_modules(self) -> Sequence[nn.Module]:
        """Everything that the plain autoencoder does not have."""

    @abstractmethod
    def _decoder_modules(self) -> Sequence[nn.Module]:
        """The autoencoder's decoder; new modules in it count as new."""

    @abstractmethod
    def _posterior_mode(self, clip: Tensor) -> Tensor:
        """Encode a clip (B, 3, T, H, W) in [-1, 1] to latents (B, C, t, h, w)."""

    def _encode(self, clip: Tensor) -> Tensor:
        """Encode a clip with the frozen encoder, in full precision and without gradients."""
        with torch.no_grad(), full_precision(clip.device):
            return self._posterior_mode(clip)

    def _latents_of(self, batch: Batch) -> Tensor:
        """Latents (B, C, t, h, w) that a batch holds, or that its clip is encoded to."""
        if batch.latents is not None:
            return batch.latents
        assert batch.clip is not None, "a batch holds a clip or latents"
        return self._encode(batch.clip)

    def _reference_of(self, batch: Batch) -> Tensor | None:
        """Embed a batch's reference, where there is one and it is used."""
        if batch.reference is None or self.unconditional:
            return None
        return self.model.embed_reference(batch.reference)

    def parameter_groups(self) -> list[ParameterGroup]:
        new = _parameters(self._new_modules())
        known = {id(parameter) for parameter in new}
        old = [p for p in _parameters(self._decoder_modules()) if id(p) not in known]
        return [
            ParameterGroup("attention", new, pretrained=False),
            ParameterGroup("decoder", old, pretrained=True),
        ]

    def check_samples(self, samples: SampleOptions) -> None:
        if not samples.consecutive or samples.crop != samples.reference_crop:
            raise OptionError(
                f"{self.backbone} needs samples.consecutive, and samples.reference_crop equal to "
                "samples.crop: its reference has the frames' size."
            )

    def weights_file(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
        metadata = {
            "format": "pt",
            "backbone": self.backbone,
            "network": json.dumps(asdict(self.model.config)),
        }
        return without_prefix(state, "model."), metadata


def _parameters(modules: Sequence[nn.Module]) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters()]
