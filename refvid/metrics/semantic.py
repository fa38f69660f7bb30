"""CLIP consistency: whether neighbouring frames show the same to a network (Radford et al. 2021).

Needs no clean video: of a smooth clip it is near 1, and what matters is the difference to another
clip of the same scene. The network comes through the optional package transformers, its weights
(605 MB) from the Hugging Face Hub on first use.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from refvid.errors import CheckpointUnavailable, OptionError

CLIP_MODEL = "openai/clip-vit-base-patch32"


class ClipEncoder:
    """CLIP's network for pictures, ready. Made by `load_clip`."""

    def __init__(self, network: Any, prepare: Any, device: torch.device) -> None:
        """`network` is a `CLIPVisionModelWithProjection`, `prepare` its image processor."""
        self._network = network.to(device).eval()
        self._prepare = prepare
        self._device = device

    @torch.inference_mode()
    def embed(self, picture: NDArray[Any]) -> Tensor:
        """Embed the middle square of a picture.

        Args:
            picture: (H, W, 3) uint8 RGB.

        Returns:
            (D,) of unit length, on the processor.
        """
        pixels = self._prepare(images=[picture], return_tensors="pt")["pixel_values"]
        embedding = self._network(pixel_values=pixels.to(self._device)).image_embeds[0]
        return functional.normalize(embedding.float(), dim=0).cpu()


def consistency(now: Tensor, before: Tensor) -> float:
    """Cosine similarity of two embeddings: 1 where they agree."""
    return float(now @ before)


def load_clip(device: torch.device, model: str = CLIP_MODEL) -> ClipEncoder:
    """Make CLIP ready; fetches its weights on first use.

    Args:
        device: Where it runs.
        model: A repository on the Hub, or a folder.

    Raises:
        OptionError: transformers is not installed.
        CheckpointUnavailable: The weights are not here and cannot be fetched.
    """
    try:
        from transformers import (  # noqa: PLC0415 -- optional
            CLIPImageProcessorPil,
            CLIPVisionModelWithProjection,
        )
    except ImportError as error:
        raise OptionError(
            f"CLIP cannot be loaded: {error}. Run: pip install transformers"
        ) from error
    try:
        network = CLIPVisionModelWithProjection.from_pretrained(model)
    except (OSError, ValueError) as error:  # ValueError: a file that is no such model
        raise CheckpointUnavailable(
            f"The weights of CLIP ({model}) cannot be had: {error} Connect once, or set "
            "HF_HUB_CACHE to a cache that holds them."
        ) from error
    side = network.config.image_size
    prepare = CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    return ClipEncoder(network, prepare, device)
