"""Sizes of the style decoder, stored beside its weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniStyleConfig:
    """One network."""

    bands: int = 6
    """Octaves of detail that are decided on, the finest of two pixels."""

    hidden: int = 16
    """Features of a place in an octave."""
