"""A network's sizes, as its file gives them: checked before anything of that size is built."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from refvid.documents import parse_json, shown
from refvid.errors import CheckpointMismatch
from refvid.models.registry import Parts

_MOST_TIMES: Final = 64
"""No size is more than so many times the usual one: layers without end take memory even when
their weights are none."""

_BUILDING_ERRORS: Final = (
    # What networks run into with sizes that do not go together.
    TypeError,
    ValueError,
    RuntimeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    AssertionError,
)


def parse_sizes(path: Path, text: str, kind: type[Any]) -> Any:
    """Make a network's sizes of the JSON in its file's metadata.

    Args:
        path: The file, for messages.
        text: The JSON.
        kind: The dataclass of the sizes; its defaults are the usual ones.

    Raises:
        CheckpointMismatch: It is none, of a network that this version does not know, or beyond
            measure.
    """
    try:
        values = parse_json(text)
    except ValueError as error:
        raise CheckpointMismatch(f"{path}: its metadata holds no JSON ({error}).") from error
    usual = {field.name: field.default for field in fields(kind)}
    unknown = sorted(set(values) - usual.keys()) if isinstance(values, dict) else ["(no object)"]
    if unknown:
        raise CheckpointMismatch(
            f"{path} describes a network that this version does not know "
            f"({', '.join(unknown)[:200]}). A newer refvid may load it."
        )
    # JSON has lists where sizes have tuples.
    sizes = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    for name, value in sizes.items():
        if not _is_plausible(value, usual[name]):
            raise CheckpointMismatch(
                f"{path} describes an impossible network: its {name} is {shown(value)}."
            )
    try:
        return kind(**sizes)
    except _BUILDING_ERRORS as error:
        raise CheckpointMismatch(f"{path} describes an impossible network: {error}.") from error


def build_empty(path: Path, parts: Parts, sizes: Any) -> nn.Module:
    """Build a network whose weights take no memory, for comparing them with a file's.

    Raises:
        CheckpointMismatch: The sizes do not go together.
    """
    try:
        with torch.device("meta"):
            return parts.network(sizes)
    except NotImplementedError:
        # One that computes while it is built, which nothing but numbers can do.
        return parts.network(sizes)
    except _BUILDING_ERRORS as error:
        raise CheckpointMismatch(f"{path} describes an impossible network: {error}.") from error


def _is_plausible(value: object, usual: object) -> bool:
    """Whether a size is of the usual one's type, and of its order."""
    if usual is MISSING:
        return True
    if isinstance(usual, tuple):
        if not isinstance(value, tuple) or len(value) > 2 * len(usual):
            return False
        return all(_is_plausible(part, max(usual)) for part in value)
    if isinstance(usual, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(usual, bool)
    if isinstance(usual, int):
        return isinstance(value, int) and min(usual, 1) <= value <= _MOST_TIMES * max(usual, 1)
    if isinstance(usual, float):
        return isinstance(value, int | float)
    return isinstance(value, type(usual))
