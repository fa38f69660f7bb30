"""Latent-token dropout: the decoder must ask the reference (RefDecoder, arXiv:2605.15196)."""

from __future__ import annotations

import random

import torch
from torch import Tensor


def draw_token_dropout(rng: random.Random, highest: float) -> float:
    """Draw the share of tokens that a step drops, uniform between 0 and `highest`."""
    return rng.uniform(0.0, highest) if highest > 0 else 0.0


def token_mask(height: int, width: int, share: float, seed: int) -> Tensor:
    """Draw which latent positions stay.

    Returns:
        (height, width) of 0 and 1, one mask for all clips, channels and frames of a call. Drawn on
        the CPU, so that it is the same on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(height, width, generator=generator) >= share).float()


def drop_tokens(latents: Tensor, share: float, seed: int) -> Tensor:
    """Zero a share of the positions of latents (..., h, w), see `token_mask`."""
    if share <= 0:
        return latents
    height, width = latents.shape[-2:]
    return latents * token_mask(height, width, share, seed).to(latents.device)
