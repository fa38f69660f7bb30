"""Settings, sizes and other small documents that people and programs write: JSON and TOML.

Their parsers fail in many ways on what is damaged or meant to harm: by recursion, by numbers of
thousands of digits, by dates that are none. Here every failure is a `ValueError` of one line.
"""

from __future__ import annotations

import codecs
import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_MOST_BYTES: Final = 2**18
_MOST_VALUES: Final = 100_000
_DEEPEST: Final = 32
_LONGEST_NUMBER: Final = 64
"""Bits of a whole number: what the rest of the world computes with."""

_SHOWN: Final = 60
_BETWEEN_KEYS: Final = re.compile(r"[\n,=#{}\[\]]")
TOO_DEEP: Final = "its values are nested too deeply"


def read_text(path: Path) -> str:
    """Read a small file; of one without an end, no more than is needed to say so.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no text in UTF-8 (or UTF-16, if it says so as Windows does), or too long.
    """
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES} bytes")
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_wide else "utf-8-sig")


def parse_toml(text: str) -> dict[str, Any]:
    """Raises `ValueError` with a reason."""
    # Before it is parsed: that takes minutes for a key of thousands of parts.
    if any(piece.count(".") > _DEEPEST for piece in _BETWEEN_KEYS.split(text)):
        raise ValueError(TOO_DEEP)
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    check_values(table)
    return table


def parse_json(text: str | bytes) -> Any:
    """Raises `ValueError` with a reason."""
    if len(text) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES} bytes")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    check_values(value)
    return value


def check_values(document: object) -> None:
    """Refuse what breaks those who use a document: depths, numbers and sizes beyond measure.

    Raises:
        ValueError: Says which.
    """
    level: list[object] = [document]
    for _ in range(_DEEPEST):
        below: list[object] = []
        for value in level:
            if isinstance(value, Mapping):
                below += [*value.keys(), *value.values()]
            elif isinstance(value, list | tuple | set | frozenset):
                below += value
            elif isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
                raise ValueError("it has a number of too many digits")
            elif isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{value} is no number to work with")
            if len(below) > _MOST_VALUES:
                raise ValueError(f"it has more than {_MOST_VALUES} values")
        if not below:
            return
        level = below
    raise ValueError(TOO_DEEP)


def shown(value: object) -> str:
    """A value as a message shows it: not longer than a line."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
