"""Weights in several files: the parts that belong together, by their index or by their names.

Diffusers and transformers cut large checkpoints into `model-00001-of-00003.safetensors` and so on,
with a `model.safetensors.index.json` that says which weight is where.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import Final

from refvid.documents import parse_json
from refvid.errors import CheckpointMismatch, CheckpointUnavailable
from refvid.media.folders import is_file

_INDEX_SUFFIX: Final = ".index.json"
_MOST_INDEX_BYTES: Final = 2**24
_PART: Final = re.compile(r"(.*)-(\d{2,6})-of-(\d{2,6})(\.[A-Za-z]+)")
_SUFFIXES: Final = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_SHOWN_FILES: Final = 3


def is_index(path: Path) -> bool:
    """Whether a file is an index of parts, by its name: it is text, which weights never are."""
    return path.name.endswith(_INDEX_SUFFIX)


def weight_files(path: Path) -> tuple[Path, ...]:
    """Return all files of a checkpoint: of an index or of one part, every part.

    Raises:
        CheckpointUnavailable: The index cannot be read, or a part is not there.
        CheckpointMismatch: It is no index.
    """
    names = _names_in_index(path) if is_index(path) else _names_of_parts(path)
    files = tuple(path.with_name(name) for name in names)
    missing = [file.name for file in files if not is_file(file)]
    if missing:
        shown = ", ".join(missing[:_SHOWN_FILES])
        raise CheckpointUnavailable(
            f"{path} belongs to weights in {len(files)} files, of which {len(missing)} are missing "
            f"({shown}). Fetch them into the same folder."
        )
    return files


def weights_in(folder: Path) -> Path:
    """Find the one checkpoint in a folder: a file, an index, or the first of its parts.

    Raises:
        CheckpointUnavailable: There is none, more than one, or the folder cannot be read.
    """
    found: dict[str, Path] = {}
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise CheckpointUnavailable(f"Cannot read {folder}: {error.strerror or error}.") from error
    for file in entries:
        if is_index(file) and file.name.removesuffix(_INDEX_SUFFIX).endswith(_SUFFIXES):
            name = PurePath(file.name.removesuffix(_INDEX_SUFFIX))
            found[name.stem] = file  # rather than its parts
        elif file.suffix.lower() in _SUFFIXES:
            part = _PART.fullmatch(file.name)
            found.setdefault(part[1] if part else file.name, file)
    files = [path for path in found.values() if is_file(path)]
    safe = [path for path in files if _SUFFIXES[0] in path.name]
    candidates = safe or files
    if len(candidates) == 1:
        return candidates[0]
    if not files:
        raise CheckpointUnavailable(
            f"The folder {folder} holds no weights ({', '.join(_SUFFIXES)})."
        )
    names = ", ".join(path.name for path in candidates[:_SHOWN_FILES])
    raise CheckpointUnavailable(
        f"The folder {folder} holds {len(candidates)} checkpoints ({names}): give the path of one."
    )


def _names_in_index(path: Path) -> list[str]:
    try:
        size = path.stat().st_size
        text = path.read_bytes() if size <= _MOST_INDEX_BYTES else b""
    except OSError as error:
        raise CheckpointUnavailable(f"Cannot read {path}: {error.strerror or error}.") from error
    try:
        names = sorted(set(parse_json(text)["weight_map"].values()))
        is_plain = all(
            isinstance(name, str) and name == PurePath(name).name and name not in ("", ".", "..")
            for name in names
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointMismatch(f"{path} is no index of weights: fetch it again.") from error
    if not names or not is_plain:
        raise CheckpointMismatch(f"{path} names no files of its own folder: fetch it again.")
    return names


def _names_of_parts(path: Path) -> list[str]:
    part = _PART.fullmatch(path.name)
    if part is None or not 1 <= int(part[3]) <= 9999:
        return [path.name]
    stem, number, total, suffix = part.groups()
    return [
        f"{stem}-{index:0{len(number)}d}-of-{total}{suffix}" for index in range(1, int(total) + 1)
    ]
