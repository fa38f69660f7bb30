"""Which tensor of a file is the latents."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from refvid.errors import InputError
from refvid.latents.tensor_file import Entry, TensorFile
from refvid.latents.wan import CHANNELS, OTHER_MODELS, SPATIAL_STRIDE

_KEYS: Final = ("latent_tensor", "latents", "latent", "samples", "frames")
_PREFIX: Final = "latents_"
_MOST_SIDE: Final = 1024
_SHOWN_KEYS: Final = 8


def choose_key(file: TensorFile, asked: str | None) -> str:
    """Name the tensor that is asked for, or that programs save latents as.

    Raises:
        InputError: There is none, or there are several that may be it.
    """
    entries = file.entries
    if asked is not None:
        if asked not in entries:
            raise InputError(f"{file.path} has no tensor {asked!r}. {_list_keys(file)}")
        return asked
    if "" in entries:
        return ""
    for name in _KEYS:
        # Also one level down, as in {"latent": {"samples": ...}}.
        for key in (name, f"{name}.samples", f"{name}.latents"):
            if key in entries:
                return key
    prefixed = [key for key in entries if key.startswith((_PREFIX, "latent_tensor_"))]
    if len(prefixed) == 1:
        return prefixed[0]
    likely = [
        key
        for key, entry in entries.items()
        if entry.is_float and len(entry.shape) in (4, 5) and CHANNELS in entry.shape[-4:-2]
    ]
    if len(likely) == 1 and not prefixed:
        return likely[0]
    problem = "holds several tensors that may be latents" if likely else "holds no Wan latents"
    hint = " Choose one with --key." if likely else ""
    others = {
        OTHER_MODELS[side]
        for entry in entries.values()
        if entry.is_float and len(entry.shape) == 5
        for side in entry.shape[1:3]
        if side in OTHER_MODELS
    }
    if len(entries) == 1 and not likely and others:
        problem += f", it looks like {min(others)}"
    raise InputError(f"{file.path} {problem}. {_list_keys(file)}{hint}")


def _list_keys(file: TensorFile) -> str:
    if not file.entries:
        return "It holds no tensors."
    shown = [
        f"{key or '(bare)'} {list(entry.shape)}"
        for key, entry in list(file.entries.items())[:_SHOWN_KEYS]
    ]
    more = len(file.entries) - len(shown)
    return f"It holds {', '.join(shown)}{f' and {more} more' if more else ''}."


def check_entry(path: Path, key: str, entry: Entry) -> None:
    """Raise `InputError` where a tensor cannot be latents, for its type or shape."""
    name = f"{path}: {key}" if key else str(path)
    if not entry.is_float:
        raise InputError(f"{name} holds {entry.dtype}, but latents are floating-point numbers.")
    if len(entry.shape) not in (4, 5):
        raise InputError(
            f"{name} has the shape {list(entry.shape)}: video latents have 4 or 5 axes, such as "
            "[1, 16, 21, 60, 104]."
        )
    if math.prod(entry.shape) == 0:
        raise InputError(f"{name} is empty: its shape is {list(entry.shape)}.")
    if max(entry.shape[-2:]) > _MOST_SIDE:
        raise InputError(
            f"{name} has the shape {list(entry.shape)}, whose frames would be "
            f"{entry.shape[-1] * SPATIAL_STRIDE}x{entry.shape[-2] * SPATIAL_STRIDE} pixels."
        )
