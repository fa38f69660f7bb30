"""Read a file of tokens: what it says is held against what it holds, before it is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from refvid.errors import InputError
from refvid.safetensors_file import open_safetensors
from refvid.tokens.layout import (
    FORMAT,
    INDICES,
    REFERENCE_ENDS,
    REFERENCES,
    SHOTS,
    TIMES,
    VECTORS,
    Shot,
    TokenFacts,
)
from refvid.wording import counted

_TYPES: Final = {
    INDICES: "U16", VECTORS: "U16", TIMES: "I64", SHOTS: "I64", REFERENCES: "U8",
    REFERENCE_ENDS: "I64",
}  # fmt: skip
_LATEST: Final = 2**62
"""Beyond this no time can be shifted or added to."""

_LONGEST_VECTOR: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFile:
    """A file whose parts agree with each other. Tokens and pictures stay on the disk."""

    path: Path
    facts: TokenFacts
    shots: tuple[Shot, ...]
    vector: int
    """Codes of a vector; 0: there are none."""

    grids: int
    vectors: int
    stored: tuple[bool, ...]
    """Of each reference: whether its picture is in the file."""

    reference_bytes: int

    def frames_of(self, number: int) -> int:
        """Frames of a shot."""
        ends = [shot.start for shot in self.shots[number + 1 : number + 2]]
        return (ends or [self.facts.frames])[0] - self.shots[number].start

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, for `refvid info`."""
        facts = self.facts
        index_bits = self.grids * facts.grid[0] * facts.grid[1] * float(np.log2(facts.codes))
        vector_bits = self.vectors * self.vector * float(np.log2(max(1, facts.vector_codes)))
        pixels = facts.frames * facts.width * facts.height
        token_bits = index_bits + vector_bits
        return {
            "path": str(self.path),
            "container": "tokens",
            "tokenizer": facts.tokenizer,
            "sha256": facts.sha256,
            "frames": facts.frames,
            "width": facts.width,
            "height": facts.height,
            "padded_width": facts.padded_width,
            "padded_height": facts.padded_height,
            "frame_rate": None if facts.frame_rate is None else str(facts.frame_rate),
            "is_variable_rate": facts.is_variable_rate,
            "time_base": str(facts.time_base),
            "indices": [self.grids, *facts.grid],
            "levels": list(facts.levels),
            "vectors": [self.vectors, self.vector] if self.vector else None,
            "vector_levels": list(facts.vector_levels) or None,
            "shots": len(self.shots),
            "references": [
                {"name": name, "sha256": sha256, "is_stored": stored}
                for name, sha256, stored in zip(
                    facts.reference_names, facts.reference_hashes, self.stored, strict=True
                )
            ],
            "bits_per_pixel": round(token_bits / pixels, 6),
            "bits_per_pixel_with_references": round(
                (token_bits + 8 * self.reference_bytes) / pixels, 6
            ),
            "source": facts.source,
        }


def is_token_file(path: Path) -> bool:
    """Whether a file says that it holds tokens; a damaged one of that name says so, too."""
    try:
        with open_safetensors(path, framework="numpy") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except (SafetensorError, OSError, ValueError):
        return False


def open_tokens(path: Path) -> TokenFile:
    """Open a file of tokens.

    Raises:
        InputError: It is missing, damaged, something else, or contradicts itself.
    """
    with _reading(path) as file:
        facts = TokenFacts.of(dict(file.metadata() or {}))
        shapes = _read_shapes(file)
        for name, shape in (
            (TIMES, (facts.frames, 2)), (SHOTS, (shapes[SHOTS][0], 3)),
            (INDICES, (shapes[INDICES][0], *facts.grid)),
            (REFERENCE_ENDS, (len(facts.reference_hashes),)),
        ):  # fmt: skip
            if shapes[name] != shape:
                raise ValueError(f"{name!r} has the shape {shapes[name]}, not {shape}")
        vectors, vector = shapes.get(VECTORS, (0, 0))
        if bool(vector) != bool(facts.vector_levels) or vector > _LONGEST_VECTOR:
            raise ValueError("it has vectors without levels, or levels without vectors")
        ends = file.get_tensor(REFERENCE_ENDS)
        begins = np.concatenate(([0], ends[:-1])) if len(ends) else ends
        if (begins > ends).any() or (len(ends) and not ends[-1] == shapes[REFERENCES][0]):
            raise ValueError("its references do not follow each other")
        shots = _read_shots(file, facts)
        found = TokenFile(
            path=path, facts=facts, shots=shots, vector=vector, vectors=vectors,
            grids=shapes[INDICES][0], stored=tuple((ends > begins).tolist()),
            reference_bytes=shapes[REFERENCES][0],
        )  # fmt: skip
        lengths = [found.frames_of(number) for number in range(len(shots))]
        wanted = sum(map(facts.count_grids, shots, lengths)), sum(map(facts.count_vectors, lengths))
        if wanted != (found.grids, vectors):
            raise ValueError(
                f"it holds {counted(found.grids, 'grid')} and {counted(vectors, 'vector')}, but "
                f"its frames have {wanted[0]} and {wanted[1]}"
            )
        return found


def read_grids(file: TokenFile, first: int, count: int) -> NDArray[np.int64]:
    """Some grids (count, h, w).

    Raises:
        InputError: The file changed meanwhile, or a number in it is none of a code.
    """
    return _read_codes(file, INDICES, first, count, file.facts.codes)


def read_vectors(file: TokenFile, first: int, count: int) -> NDArray[np.int64]:
    """Some vectors (count, K); raises what `read_grids` does."""
    if not file.vector:
        return np.empty((0, 0), np.int64)
    return _read_codes(file, VECTORS, first, count, file.facts.vector_codes)


def read_times(file: TokenFile, first: int, count: int) -> NDArray[np.int64]:
    """When some frames are shown and how long (count, 2); they rise.

    Raises:
        InputError: The file changed meanwhile, or a time is impossible.
    """
    with _reading(file.path) as content:
        before = max(0, first - 1)
        times: NDArray[np.int64] = content.get_slice(TIMES)[before : first + count]
        if len(times) and (
            np.abs(times).max() >= _LATEST
            or (np.diff(times[:, 0]) <= 0).any()
            or times[:, 1].min() < 0
        ):
            raise ValueError("its times do not rise")
        return times[first - before :]


def read_reference(file: TokenFile, number: int) -> bytes:
    """The file of a reference's picture; empty where only its hash is kept."""
    with _reading(file.path) as content:
        ends = content.get_tensor(REFERENCE_ENDS)
        start = int(ends[number - 1]) if number else 0
        if start == ends[number]:
            return b""
        data: NDArray[np.uint8] = content.get_slice(REFERENCES)[start : int(ends[number])]
        return data.tobytes()


def _read_codes(
    file: TokenFile, name: str, first: int, count: int, codes: int
) -> NDArray[np.int64]:
    with _reading(file.path) as content:
        piece = content.get_slice(name)
        # An empty part of a tensor is refused where the tensor itself is empty.
        numbers = piece[first : first + count] if count else np.empty((0, *piece.get_shape()[1:]))
        if numbers.size and int(numbers.max()) >= codes:
            raise ValueError(f"{name!r} has numbers that are none of its {codes} codes")
        return np.asarray(numbers, np.int64)


def _read_shapes(file: Any) -> dict[str, tuple[int, ...]]:
    names = set(file.keys())
    missing = [name for name in _TYPES if name != VECTORS and name not in names]
    if missing:
        raise ValueError(f"it has no {missing[0]!r}")
    shapes = {}
    for name, kind in _TYPES.items():
        if name not in names:
            continue
        piece = file.get_slice(name)
        if str(piece.get_dtype()) != kind:
            raise ValueError(f"{name!r} is {piece.get_dtype()}, not {kind}")
        shapes[name] = tuple(piece.get_shape())
        if len(shapes[name]) != _AXES[name]:
            raise ValueError(f"{name!r} has {len(shapes[name])} axes, not {_AXES[name]}")
    return shapes


_AXES: Final = {
    INDICES: 3, VECTORS: 2, TIMES: 2, SHOTS: 2, REFERENCES: 1, REFERENCE_ENDS: 1,
}  # fmt: skip


def _read_shots(file: Any, facts: TokenFacts) -> tuple[Shot, ...]:
    rows = file.get_tensor(SHOTS)
    starts = rows[:, 0]
    if not len(rows) or starts[0] != 0 or (np.diff(starts) <= 0).any():
        raise ValueError("its shots do not follow each other")
    if starts[-1] >= facts.frames:
        raise ValueError("a shot begins after the last frame")
    if rows[:, 1].min() < -1 or rows[:, 1].max() >= len(facts.reference_hashes):
        raise ValueError("a shot has a reference that is not there")
    if not np.isin(rows[:, 2], (0, 1)).all() or ((rows[:, 2] == 1) & (rows[:, 1] < 0)).any():
        raise ValueError("a shot begins with a reference that is not there")
    return tuple(Shot(start, number, bool(led)) for start, number, led in rows.tolist())


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    try:
        with open_safetensors(path, framework="numpy") as file:
            yield file
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except SafetensorError as error:
        raise InputError(
            f"{path} is no whole file of tokens ({error}). Make it again with refvid tokenize."
        ) from error
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path} cannot be used: {reason}. Make it again with refvid tokenize."
        ) from error
