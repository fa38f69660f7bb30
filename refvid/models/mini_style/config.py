"""Sizes of the style decoder, stored beside its weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniStyleConfig:
    """One network."""

    widths: tuple[int, int, int] = (32, 64, 96)
    """Channels at 1/2, 1/4 and 1/8 of the frame's size."""

    depths: tuple[int, int, int, int, int] = (1, 2, 2, 1, 2)
    """Residual blocks going down (1/2, 1/4, 1/8) and up again (1/4, 1/2)."""
