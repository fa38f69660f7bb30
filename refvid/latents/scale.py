"""Raw or normalised: which numbers a file of Wan latents holds.

The VAE gives raw latents, whose channels have different means and spreads. Diffusion pipelines
work on normalised ones, (z - mean) / std, and mostly save those. Nothing in a tensor says which
it is, except the spreads themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from refvid.errors import InputError
from refvid.latents.layout import Decision
from refvid.latents.measure import Measures
from refvid.latents.producers import Producer
from refvid.latents.wan import STD
from refvid.latents.wishes import LatentWishes
from refvid.models.registry import VIDEOVAE_PLUS, WAN

LEAST_MARGIN: Final = 0.03
_CLEAR_MARGIN: Final = 0.1
"""From here on numbers that speak against what is known are worth a warning."""


def decide_scale(
    wishes: LatentWishes, producer: Producer | None, backbone: str, measures: Measures
) -> Decision:
    """Decide by what is asked for, by who wrote the file, and by the numbers, in this order.

    Where the numbers speak against a guess about who made the latents, nothing is decided.

    Raises:
        InputError: The backbone has no normalised latents.
    """
    if backbone == VIDEOVAE_PLUS:
        if wishes.scale == "normalized":
            raise InputError(f"{backbone} has raw latents only: leave out --latent-scale.")
        return Decision(value="raw", reason=f"{backbone} has no other")
    by_numbers = decide_scale_by_spread(measures.channel_stds) if backbone == WAN else None
    margin = by_numbers.margin if by_numbers else None
    if wishes.scale is not None:
        return Decision(value=wishes.scale, reason="as asked", margin=margin)
    if producer is not None and producer.scale is not None:
        told, reason = producer.scale, producer.scale_reason
        numbers = by_numbers.value if by_numbers else None
        if numbers not in (None, told) and not producer.is_certain:
            reason = f"{reason}, which is usually {told}, but the numbers look {numbers}"
            return Decision(value=None, reason=reason, margin=margin)
        return Decision(value=told, reason=reason, margin=margin)
    return by_numbers or Decision(value="raw", reason=f"{backbone} has no other")


def scale_warning(scale: Decision, producer: Producer | None) -> str | None:
    """Say where the numbers speak clearly against what was decided by other means."""
    margin = scale.margin
    if scale.value is None or margin is None or (producer is not None and producer.is_own):
        return None
    looks = "normalized" if margin > 0 else "raw"
    if looks == scale.value or abs(margin) < _CLEAR_MARGIN:
        return None
    return (
        f"taken for {scale.value} latents ({scale.reason}), but the numbers look {looks} (margin "
        f"{margin:+.2f}): if the colours come out wrong, use --latent-scale {looks}"
    )


def decide_scale_by_spread(stds: Sequence[float]) -> Decision:
    """Compare the spread over channels of log(std) with that of log(std / Wan's std).

    Normalised channels are about equally strong, raw ones are so once divided by Wan's own
    deviations: the smaller spread wins. A change of contrast cancels out.

    Args:
        stds: Standard deviation of each of the 16 channels.

    Returns:
        The choice; its margin is positive for normalised, and None is chosen below 0.03.
    """
    if min(stds) <= 0 or not all(math.isfinite(std) for std in stds):
        return Decision(value=None, reason="a channel is constant, so its spread says nothing")
    as_they_are = _spread([math.log(std) for std in stds])
    divided = _spread([math.log(std / wan) for std, wan in zip(stds, STD, strict=True)])
    margin = divided - as_they_are
    reason = (
        f"the channels' spread is {as_they_are:.2f} as it is and {divided:.2f} divided by Wan's"
    )
    if abs(margin) < LEAST_MARGIN:
        return Decision(value=None, reason=f"too close to tell: {reason}", margin=margin)
    return Decision(value="normalized" if margin > 0 else "raw", reason=reason, margin=margin)


def _spread(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
