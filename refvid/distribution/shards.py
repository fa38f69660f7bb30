"""One part of a list, for those who start a program several times: `--shard I/N`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from refvid.errors import OptionError

T = TypeVar("T")

_WORD: Final = re.compile(r"(\d{1,9})/(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Shard:
    """Every so manieth item of a list."""

    index: int
    """Which part, from 0."""

    count: int
    """How many parts there are."""

    def part_of(self, items: Sequence[T]) -> list[T]:
        """All parts together hold every item once."""
        return list(items[self.index :: self.count])


def parse_shard(word: str, environ: Mapping[str, str]) -> Shard:
    """Turn `2/8` into the second of 8 parts, and `auto` into what a scheduler says.

    Args:
        word: I/N with I from 1 to N, or auto.
        environ: Where `auto` looks: RANK and WORLD_SIZE, or the variables of a SLURM array.

    Raises:
        OptionError: It is neither, or the scheduler says nothing or nothing sensible.
    """
    if word == "auto":
        return _find_shard(environ)
    match = _WORD.fullmatch(word)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise OptionError(f"--shard: {word!r} is no part; write 1/4 to 4/4, or auto")
    return Shard(int(match[1]) - 1, int(match[2]))


def _find_shard(environ: Mapping[str, str]) -> Shard:
    if "SLURM_ARRAY_TASK_ID" in environ:
        # The IDs of an array need not begin at 0 or 1: --array=10-40:10.
        first = _number(environ, "SLURM_ARRAY_TASK_MIN")
        step = _number(environ, "SLURM_ARRAY_TASK_STEP", "1")
        count = _number(environ, "SLURM_ARRAY_TASK_COUNT")
        index, rest = divmod(_number(environ, "SLURM_ARRAY_TASK_ID") - first, max(step, 1))
        what = "SLURM_ARRAY_TASK_ID"
        if rest or not 0 <= index < count:
            raise OptionError(
                f"--shard auto: the IDs of this SLURM array have gaps; number them in one row, as "
                f"in --array=1-{count}"
            )
    elif "RANK" in environ:
        index, count, what = _number(environ, "RANK"), _number(environ, "WORLD_SIZE"), "RANK"
    else:
        raise OptionError(
            "--shard auto: neither SLURM_ARRAY_TASK_ID nor RANK and WORLD_SIZE are set; write "
            "--shard I/N"
        )
    if not 0 <= index < count:
        raise OptionError(f"--shard auto: {what} is {environ[what]}, but there are {count} parts")
    return Shard(index, count)


def _number(environ: Mapping[str, str], name: str, default: str = "") -> int:
    text = environ.get(name, default)
    if not re.fullmatch(r"\d{1,9}", text):
        raise OptionError(f"--shard auto: {name} is {text!r}, which is no number")
    return int(text)
