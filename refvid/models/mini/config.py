"""Sizes of the mini backbone, stored beside its weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniConfig:
    """One network. It works on cells of 4x4 pixels, and for what is large on pairs of them."""

    version: int = 2
    """Of the architecture; refvid 0.1's weights have none."""

    width: int = 64
    """Channels at 1/4 of the frame's size."""

    wide: int = 96
    """Channels at 1/8."""

    depths: tuple[int, int, int] = (1, 4, 1)
    """Residual blocks at 1/4, then at 1/8, then at 1/4 again."""

    condition_width: int = 96
    """Hidden units of the network that reads what the whole frame lost."""

    kernels: int = 8
    """Filters that the condition mixes."""

    weighs_neighbours: bool = False
    """Whether it looks at the frames around a frame, too, and knows how much they count."""

    weighs_change: bool = False
    """Whether it knows how much its change counts for frames without a reference."""
