"""Which axis of a saved tensor is what: channels by their number, time by its continuity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from refvid.errors import InputError
from refvid.latents.wan import OTHER_MODELS
from refvid.latents.wishes import Layout

LEAST_MARGIN: Final = 0.1
"""Neighbours in time must be so much more alike than neighbours among the channels."""

_MOST_SAMPLES: Final = 16
_MOST_SIDE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Something that was decided about a file, and why."""

    value: str | None
    """None where it could not be decided."""

    reason: str
    margin: float | None = None
    """How clear it is, for decisions by numbers; the sign is that of the choice."""


def decide_layout(
    tensor: Tensor, channels: int, *, asked: Layout | None = None, known: str | None = None
) -> Decision:
    """Find the axes.

    Args:
        tensor: As saved; 4 or 5 axes.
        channels: How many channels the latents have.
        asked: What the user says.
        known: Who wrote the file, if its layout is channels first by that.

    Raises:
        InputError: No axis can be the channels.
    """
    shape = list(tensor.shape)
    if asked is not None:
        if len(asked) != tensor.ndim or shape[asked.index("c")] != channels:
            raise InputError(
                f"The layout {asked} does not fit the shape {shape}: latents have {channels} "
                "channels."
            )
        return Decision(value=asked, reason="as asked")
    if tensor.ndim not in (4, 5):
        raise InputError(
            f"The shape {shape} is not that of video latents: they have 4 or 5 axes, such as "
            f"[1, {channels}, 21, 60, 104]."
        )
    batch = "b" if tensor.ndim == 5 else ""
    first = len(batch)
    fits = (shape[first] == channels, shape[first + 1] == channels)
    if fits == (True, False):
        return Decision(value=f"{batch}cthw", reason=f"axis {first} has {channels} channels")
    if fits == (False, True):
        return Decision(value=f"{batch}tchw", reason=f"axis {first + 1} has {channels} channels")
    if fits == (False, False):
        raise InputError(_no_channels(shape, channels, first))
    if known is not None:
        return Decision(value=f"{batch}cthw", reason=f"{known} writes it so")
    return _decide_by_continuity(tensor if batch else tensor[None], batch)


def to_bcthw(tensor: Tensor, layout: str) -> Tensor:
    """View a saved tensor as (B, C, T, h, w)."""
    if tensor.ndim == 4:
        tensor = tensor[None]
    return tensor.transpose(1, 2) if "tc" in layout else tensor


def neighbour_correlation(values: Tensor) -> float:
    """Mean correlation of neighbouring slices along axis 0 of (N, ...); 0 where there is none."""
    flat = values.float().flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    norms = flat.norm(dim=1)
    products = (flat[1:] * flat[:-1]).sum(1) / (norms[1:] * norms[:-1]).clamp_min(1e-12)
    return float(products.mean()) if len(products) else 0.0


def _decide_by_continuity(tensor: Tensor, batch: str) -> Decision:
    """Time is the axis whose neighbours are alike."""
    n = min(_MOST_SAMPLES, tensor.shape[1], tensor.shape[2])
    sample = tensor[0, :n, :n, :_MOST_SIDE, :_MOST_SIDE].to(torch.float32)
    if not bool(torch.isfinite(sample).all()):
        # What is wrong here is said later; the usual order will do until then.
        return Decision(value=f"{batch}cthw", reason="the usual order")
    along_first = sum(neighbour_correlation(sample[:, i]) for i in range(n)) / n
    along_second = sum(neighbour_correlation(sample[i]) for i in range(n)) / n
    margin = along_second - along_first
    words = (
        f"neighbours correlate {along_first:.2f} along axis {len(batch)} and "
        f"{along_second:.2f} along axis {len(batch) + 1}"
    )
    if abs(margin) < LEAST_MARGIN:
        return Decision(value=None, reason=f"both could be the channels: {words}", margin=margin)
    value = f"{batch}cthw" if margin > 0 else f"{batch}tchw"
    return Decision(
        value=value,
        reason=f"{words}: the latter is time" if margin > 0 else f"{words}: the former is time",
        margin=margin,
    )


def _no_channels(shape: list[int], channels: int, first: int) -> str:
    text = f"The shape {shape} is not that of latents with {channels} channels."
    for axis in (first, first + 1):
        if shape[axis] in OTHER_MODELS:
            return (
                f"{text} It looks like {OTHER_MODELS[shape[axis]]}, which this model cannot read."
            )
    return f"{text} refvid reads latents of the Wan 2.1 VAE and its own."
