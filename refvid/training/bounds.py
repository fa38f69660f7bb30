"""Bounds that several options have."""

from __future__ import annotations

from refvid.errors import OptionError


def check_positive(config: object, *names: str) -> None:
    """Raise `OptionError` where a field is below 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise OptionError(f"{name} is at least 1, not {getattr(config, name)}.")


def check_share(config: object, *names: str) -> None:
    """Raise `OptionError` where a field is not between 0 and 1."""
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise OptionError(f"{name} is between 0 and 1, not {getattr(config, name):g}.")
