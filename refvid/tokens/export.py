"""Tokens for other programs: flat arrays of indices, and a JSON file that says what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from refvid.errors import OutputError
from refvid.media.partial_file import check_target, partial_file
from refvid.tokens.read import TokenFile, read_grids, read_times, read_vectors

_GRIDS_AT_ONCE: Final = 64
_FRAMES_AT_ONCE: Final = 4096


def export_paths(tokens: Path) -> dict[str, Path]:
    """Where the parts of an export go: beside the file of tokens, under its name."""
    stem = tokens.with_suffix("")
    return {
        "indices": stem.with_name(f"{stem.name}.indices.bin"),
        "vectors": stem.with_name(f"{stem.name}.vectors.bin"),
        "times": stem.with_name(f"{stem.name}.times.bin"),
        "metadata": stem.with_name(f"{stem.name}.json"),
    }


def check_export(tokens: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` where an export would replace what it may not."""
    for path in export_paths(tokens).values():
        check_target(path, overwrite=overwrite)


def export_tokens(file: TokenFile, *, overwrite: bool = False) -> list[Path]:
    """Write indices as flat little-endian uint16 (T, H, W), times as int64 (F, 2), and JSON.

    Each file appears when it is whole; the JSON comes last.

    Raises:
        OutputError: One exists or cannot be written.
        InputError: The file of tokens is damaged.
    """
    paths = export_paths(file.path)
    facts, document = file.facts, file.to_json()
    document["shot_table"] = [list(map(int, shot)) for shot in file.shots]
    document["files"] = {
        "indices": _described(paths["indices"], "uint16", [file.grids, *facts.grid]),
        "times": _described(paths["times"], "int64", [facts.frames, 2]),
    }
    written = [paths["indices"], paths["times"]]
    with partial_file(paths["indices"], overwrite=overwrite) as partial:
        _write(partial, "<u2", lambda at, n: read_grids(file, at, n), file.grids, _GRIDS_AT_ONCE)
    with partial_file(paths["times"], overwrite=overwrite) as partial:
        _write(partial, "<i8", lambda at, n: read_times(file, at, n), facts.frames, _FRAMES_AT_ONCE)
    if file.vector:
        document["files"]["vectors"] = _described(
            paths["vectors"], "uint16", [file.vectors, file.vector]
        )
        with partial_file(paths["vectors"], overwrite=overwrite) as partial:
            _write(
                partial, "<u2", lambda at, n: read_vectors(file, at, n), file.vectors,
                _FRAMES_AT_ONCE,
            )  # fmt: skip
        written.append(paths["vectors"])
    with partial_file(paths["metadata"], overwrite=overwrite) as partial:
        partial.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return [*written, paths["metadata"]]


def _described(path: Path, kind: str, shape: list[int]) -> dict[str, Any]:
    return {"file": path.name, "dtype": kind, "byte_order": "little", "shape": shape}


def _write(path: Path, kind: str, read: Any, total: int, at_once: int) -> None:
    try:
        with path.open("wb") as file:
            for first in range(0, total, at_once):
                numbers = read(first, min(at_once, total - first))
                file.write(numbers.astype(kind).tobytes())
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error
