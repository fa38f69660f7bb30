"""The options of a kind of work: as somebody describes them, and for the library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from refvid.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option."""

    keyword: str
    """Of the library's function."""

    label: str
    help: str
    panel: str
    kind: Literal["truth", "choice", "whole", "number", "words", "file"]
    default: Any = None
    """None leaves the choice to the library."""

    is_negated: bool = False
    """Of truths: the library's keyword says the opposite."""

    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    example: str = ""


UNSAID: Final = "as usual"
"""Shown where the library chooses."""


def read_options(options: Sequence[Option], values: Sequence[Any]) -> dict[str, Any]:
    """What was chosen, as keywords of the library; what is not said is left out.

    Raises:
        OptionError: Words are no number, or one out of range.
    """
    keywords: dict[str, Any] = {}
    for option, value in zip(options, values, strict=True):
        chosen = value.strip() if isinstance(value, str) else value
        if chosen in (None, "", UNSAID):
            continue
        if option.kind in ("whole", "number"):
            chosen = _number(option, chosen)
        keywords[option.keyword] = not chosen if option.is_negated else chosen
    return keywords


def _number(option: Option, value: object) -> float:
    number: float | None = None
    with suppress(ValueError):
        number = int(str(value)) if option.kind == "whole" else float(str(value))
    low = -math.inf if option.low is None else option.low
    high = math.inf if option.high is None else option.high
    if number is None or not low <= number <= high:
        kind = "a whole number" if option.kind == "whole" else "a number"
        bounds = "" if option.low is None else f" from {option.low:g}"
        bounds += "" if option.high is None else f" to {option.high:g}"
        raise OptionError(f"{option.label}: {value} is not {kind}{bounds}.")
    return number


def in_panels(options: Sequence[Option]) -> Mapping[str, list[Option]]:
    """The same, by panel, in order."""
    panels: dict[str, list[Option]] = {}
    for option in options:
        panels.setdefault(option.panel, []).append(option)
    return panels
