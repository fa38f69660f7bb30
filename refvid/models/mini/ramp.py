"""What counts a little, and then in full."""

from __future__ import annotations


def ramp(value: float, ends: tuple[float, float]) -> float:
    """0 up to the first end, 1 from the second on, and straight between."""
    low, high = ends
    return min(1.0, max(0.0, (value - low) / (high - low)))
