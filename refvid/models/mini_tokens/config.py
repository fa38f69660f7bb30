"""Sizes of the RefTok network, stored beside its weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

FRAMES = 4
"""Of a block of RefTok."""

MOTION_LEVELS = 64
"""Of each number that tells how the reference moves; four tokens carry the four of a square."""

WINDOW = 128
"""Side of the windows in which reference and video attend to each other [pixels]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniReftokConfig:
    """One network."""

    version: int = 1
    """Of the architecture."""

    reference: bool = True
    """Whether it sees a reference; its twin, which it is compared with, does not."""

    frames: int = FRAMES
    """Of a block."""

    side: int = 8
    """Height and width of what a token stands for [pixels]: 8 or 16."""

    levels: tuple[int, ...] = (8, 5, 5, 5)
    """Of the quantiser; with a reference a token holds one of `MOTION_LEVELS` besides."""

    width: int = 64
    """Channels at 1/8 of the frame's size."""

    fine: int = 48
    """Channels at 1/4."""

    depths: tuple[int, int, int, int] = (2, 1, 1, 2)
    """Residual blocks: of the encoder, of the decoder before and after the attention, and at
    1/4."""

    attention: int = 1
    heads: int = 4
    head_channels: int = 16
    hidden: int = 128
    """Blocks of the reference attention, their heads and the width of what follows."""

    def __post_init__(self) -> None:
        if self.frames != FRAMES and self.reference:
            raise ValueError(f"with a reference a block has {FRAMES} frames")
        if self.side not in (8, 16):
            raise ValueError(f"side is 8 or 16, not {self.side}")
        if not 4 <= len(self.levels) <= 16 or min(self.levels) < 2:
            raise ValueError("levels are four or more, at least two each")
        if self.codes > 2**16:
            raise ValueError(f"{self.codes} codes are more than 16 bits hold")

    @property
    def codes(self) -> int:
        """Different tokens: 64000, as Cosmos has."""
        return math.prod(self.levels) * (MOTION_LEVELS if self.reference else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniReftok16Config(MiniReftokConfig):
    """A token for four times the pixels."""

    side: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniReftokTwinConfig(MiniReftokConfig):
    """As many weights and as many codes without a reference: wider instead."""

    reference: bool = False
    levels: tuple[int, ...] = (8, 8, 8, 5, 5, 5)
    width: int = 88
    fine: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFrameConfig(MiniReftokConfig):
    """The key frames of VTok: pictures, each alone."""

    reference: bool = False
    frames: int = 1
    levels: tuple[int, ...] = (8, 8, 8, 5, 5, 5)
    width: int = 64
    fine: int = 64


MOTION_GRID = 4
"""A later frame of VTok has a code for each square of so many by so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniVtokConfig:
    """The network of VTok."""

    version: int = 1
    """Of the architecture."""

    levels: tuple[int, ...] = (4, 4)
    """Of what is learned in each code of a later frame; beside it stand two numbers of
    `MOTION_LEVELS`, for the motion along x and y."""

    width: int = 48
    """Channels of what is learned of later frames."""

    def __post_init__(self) -> None:
        if not self.levels or min(self.levels) < 2 or self.codes > 2**16:
            raise ValueError("levels are at least two each, and a code has at most 16 bits")

    @property
    def codes(self) -> int:
        """Different codes of a later frame's vector."""
        return MOTION_LEVELS**2 * math.prod(self.levels)
