"""How much to compute at once: chunk lengths and tile, from the most down to the least memory.

Planning takes the first budget that fits the free memory, and running out of memory goes on to
the next one: shorter chunks first, since a causal model gives the same pixels with them (another
one sees fewer frames at a time), tiles after that.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from refvid.device import free_bytes
from refvid.errors import OptionError, OutOfMemory
from refvid.models.backbone import Backbone, BackboneLimits
from refvid.rebuild.chunks import ChunkLengths, choose_chunk_lengths, halve_chunk_lengths
from refvid.rebuild.pixels import padded_size
from refvid.wording import counted

if TYPE_CHECKING:
    from refvid.rebuild.choose_backbone import LoadedBackbone
    from refvid.rebuild.plan import Prepared

logger = logging.getLogger(__name__)

_TILES = (1024, 768, 512, 384, 256, 192, 128)
_HARDLY_MORE = 1.1
"""Times the area trained with: 854x480 are not worth the tiles that overlap in half of it."""

_USABLE_SHARE = 0.9
"""Of the free memory; the rest is for fragments and for other programs."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one model call works on."""

    lengths: ChunkLengths
    tile: int | None
    """Side of the spatial windows [pixels]; None decodes whole frames."""

    may_tile: bool = True
    """Whether smaller tiles may be used when memory runs out."""


@dataclass(frozen=True, slots=True)
class PlannedBudget:
    """A budget with what it is expected to take."""

    budget: Budget
    memory_bytes: int
    fits: bool
    """False where even this smallest budget exceeds the free memory."""


class MemoryPlan(NamedTuple):
    """A budget for a video, and what there is to say about it."""

    budget: Budget
    memory_bytes: int
    """Estimate of what it needs."""

    notes: list[str]
    """For the user."""


Held = Callable[[int], int]
"""Takes frames per chunk; gives what is in main memory for them beside the model's work [bytes]."""


def _nothing(frames: int) -> int:  # noqa: ARG001 -- see `Held`
    return 0


def plan_memory(
    loaded: LoadedBackbone,
    source: str | Path,
    height: int,
    width: int,
    held: Held = _nothing,
) -> MemoryPlan:
    """Choose chunk and tile for frames; messages name where they come from.

    `held` counts where the model works in main memory, too.

    Raises:
        OutOfMemory: It does not fit, even in the smallest chunks and tiles.
    """
    asked, backbone = loaded.options, loaded.backbone
    wanted = choose_budget(backbone.limits, height, width, asked.chunk, asked.tile)
    known = loaded.fitted.get((height, width))
    if known not in [*shrink(wanted, backbone.limits, height, width)]:
        known = None  # of other wishes
    free = free_bytes(loaded.device)
    limit = None if free is None else f"{_amount(free)} are free on {loaded.device}"
    if asked.memory is not None and (free is None or asked.memory <= free):
        free, limit = asked.memory, f"{_amount(asked.memory)} are allowed"
    if loaded.device.type != "cpu":
        held = _nothing
    planned = plan_budget(backbone, height, width, known or wanted, free, held)
    if known is not None and planned.budget == known:
        note = f"{describe_budget(known)}, as more did not fit before"
        return MemoryPlan(known, planned.memory_bytes, [note])
    if planned.budget == wanted and planned.fits:
        return MemoryPlan(wanted, planned.memory_bytes, [])
    assert limit is not None, "an unknown amount fits anything"
    usable = (
        f", of which {_amount(round(free * _USABLE_SHARE))} can be planned with" if free else ""
    )
    numbers = f"about {_amount(planned.memory_bytes)}, and {limit}{usable}"
    if not planned.fits and asked.tile == "auto":
        raise OutOfMemory(
            f"{source}: {width}x{height} does not fit into memory: even "
            f"{describe_budget(planned.budget)} needs {numbers}. Close other programs, allow more "
            "with --memory, or choose another --device."
        )
    if planned.fits:
        note = f"{describe_budget(planned.budget)}, to fit: {limit}"
    else:
        note = f"this may not fit: {describe_budget(planned.budget)} needs {numbers}"
    logger.warning("%s: %s", source, note)
    return MemoryPlan(planned.budget, planned.memory_bytes, [note])


def remember_budget(loaded: LoadedBackbone, run: Prepared, fitted: Budget) -> None:
    """Have the next run on frames of this size begin with what fitted into memory in the end."""
    if fitted != run.budget:
        loaded.fitted[run.plan.height, run.plan.width] = fitted


def choose_budget(
    limits: BackboneLimits,
    height: int,
    width: int,
    chunk: int | None = None,
    tile: int | Literal["auto", "off"] = "auto",
) -> Budget:
    """Turn the user's wishes into the largest budget they allow for clips of this size.

    Without a wish, frames clearly larger than the model was trained with go in tiles of that area.

    Raises:
        OptionError: The chunk is longer than the model takes, or chunk or tile is below 1.
    """
    longest = limits.longest_chunk(*padded_size(height, width, limits))
    lengths = choose_chunk_lengths(replace(limits, max_chunk=longest), chunk)
    if tile == "off":
        return Budget(lengths, None, may_tile=False)
    if tile == "auto":
        trained = limits.trained_pixels
        if trained is None or height * width <= trained * _HARDLY_MORE:
            return Budget(lengths, None)
        tile = math.isqrt(trained)
    if tile < 1:
        raise OptionError(f"A tile needs at least 1 pixel a side, not {tile}.")
    side = _legal_tile(tile, limits)
    return Budget(lengths, side if side < max(padded_size(height, width, limits)) else None)


def plan_budget(
    backbone: Backbone,
    height: int,
    width: int,
    wanted: Budget,
    free: int | None,
    held: Held = _nothing,
) -> PlannedBudget:
    """Find the largest budget, from the wanted one down, that fits the free memory [bytes].

    Where the free memory is unknown (None) the wanted one is taken.
    """
    needed = 0
    budget = wanted
    for budget in (wanted, *shrink(wanted, backbone.limits, height, width)):
        needed = estimate_bytes(backbone, height, width, budget) + held(budget.lengths.longest)
        if free is None or needed <= free * _USABLE_SHARE:
            return PlannedBudget(budget, needed, fits=True)
    return PlannedBudget(budget, needed, fits=False)


def estimate_bytes(backbone: Backbone, height: int, width: int, budget: Budget) -> int:
    """Working memory of the model for a clip of this size under a budget [bytes]."""
    tall, wide = padded_size(height, width, backbone.limits)
    return backbone.working_bytes(tall, wide, budget.lengths.longest, budget.tile)


def shrink(budget: Budget, limits: BackboneLimits, height: int, width: int) -> Iterator[Budget]:
    """Yield ever smaller budgets: chunks halved to the shortest, then smaller and smaller tiles."""
    while (shorter := halve_chunk_lengths(budget.lengths, limits)) is not None:
        budget = replace(budget, lengths=shorter)
        yield budget
    if not budget.may_tile:
        return
    side = budget.tile or max(padded_size(height, width, limits))
    for tile in _TILES:
        legal = _legal_tile(tile, limits)
        if legal < side:
            side = legal
            budget = replace(budget, tile=side)
            yield budget


def pack_budget(budget: Budget) -> dict[str, Any]:
    """Write a budget in plain JSON types."""
    return asdict(budget)


def unpack_budget(packed: Mapping[str, Any]) -> Budget:
    """Read what `pack_budget` wrote."""
    return Budget(**{**packed, "lengths": ChunkLengths(**packed["lengths"])})


@dataclass(frozen=True, slots=True, order=True)
class Shrunk:
    """Where memory ran out."""

    chunk: int
    """Position of the chunk in which it did."""

    frame: int
    """Of the first frame that did not fit, counted in the chunk."""

    budget: Budget = field(compare=False)
    """What was tried next."""

    def pack(self) -> dict[str, Any]:
        """Write it in plain JSON types."""
        return {"chunk": self.chunk, "frame": self.frame, "budget": pack_budget(self.budget)}

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> Self:
        """Read what `pack` wrote."""
        return cls(packed["chunk"], packed["frame"], unpack_budget(packed["budget"]))


def describe_budget(budget: Budget) -> str:
    """Say it in words, e.g. `16 frames per call in tiles of 512 px`."""
    frames = f"{counted(budget.lengths.longest, 'frame')} per call"
    return f"{frames}, untiled" if budget.tile is None else f"{frames} in tiles of {budget.tile} px"


def _legal_tile(tile: int, limits: BackboneLimits) -> int:
    return max(-(-tile // limits.size_multiple) * limits.size_multiple, limits.min_size)


def _amount(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
