"""What a result depends on, in words: one goes on with an interrupted run only if all is alike."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import av
import cv2
import torch
from torch import nn

from refvid import __version__
from refvid.device import describe_kind
from refvid.media.folders import is_file
from refvid.media.sequence import find_images
from refvid.rebuild.choose_backbone import LoadedBackbone

_EDGE: Final = 1 << 20
"""Of a large file so much of both ends is looked at [bytes]."""

_SAMPLES: Final = 256
"""Values of each tensor that are looked at: other training changes all of them."""

_LEFT_OUT: Final = frozenset(
    {"overwrite", "resume", "audio", "subtitles", "credentials", "is_only_input"}
    | {"model", "weights", "device", "dtype", "memory"}
)
"""Options that change nothing in stretches, or are seen in what is loaded."""


def identify_run(
    source: Path,
    options: Any,
    loaded: LoadedBackbone,
    *,
    images: Iterable[Path] = (),
    conditions: Any = None,
) -> dict[str, str]:
    """Say what a result depends on, by names that a user understands.

    Args:
        source: What is read: a file, or images.
        options: How, a dataclass.
        loaded: The model.
        images: Files of references, styles and the like, or images in a row.
        conditions: What is asked of these, a dataclass.

    Raises:
        InputError: The source is not there any more.
        OSError: A file cannot be read.
    """
    return {
        "source": _describe_source(source),
        "picture": _digest(_describe_source(image) for image in images),
        "model": loaded.name,
        "weights": _weights_digest(loaded),
        "device": f"{describe_kind(loaded.device)}, {loaded.dtype_name}, {platform.machine()}",
        "version of refvid or its libraries": _versions(),
        **dict(_flatten(conditions, "reference")),
        **dict(_flatten(options, "option")),
        **dict(_flatten(loaded.options, "model option")),
    }


def _describe_source(source: Path) -> str:
    if is_file(source):
        return f"{source.name} {_file_digest(source)}"
    states = ((image.path.name, image.path.stat()) for image in find_images(source))
    return _digest(f"{name} {state.st_size} {state.st_mtime_ns}" for name, state in states)


def _file_digest(path: Path) -> str:
    """Size, time of change, and a look at both ends: films are too large to be read for this."""
    status = path.stat()
    digest = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode())
    with path.open("rb") as file:
        digest.update(file.read(_EDGE))
        file.seek(max(_EDGE, status.st_size - _EDGE))
        digest.update(file.read(_EDGE))
    return digest.hexdigest()


def _weights_digest(loaded: LoadedBackbone) -> str:
    """From the numbers in memory, whatever file they came from."""
    digest = hashlib.sha256()
    for part in vars(loaded.backbone).values():
        if not isinstance(part, nn.Module):
            continue
        for name, tensor in part.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            if not tensor.is_meta:
                digest.update(_sample(tensor))
    return digest.hexdigest()


def _sample(tensor: torch.Tensor) -> bytes:
    values = tensor.detach().flatten()
    step = max(1, values.numel() // _SAMPLES)
    return values[::step].to("cpu", torch.float64).numpy().tobytes()


def _versions() -> str:
    libraries = {name: ".".join(map(str, number)) for name, number in av.library_versions.items()}
    known = {"refvid": __version__, "torch": torch.__version__, "cv2": cv2.__version__}
    return ", ".join(f"{name} {number}" for name, number in {**known, **libraries}.items())


def _flatten(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Name the fields of options, e.g. `option encoding crf`."""
    if not is_dataclass(value):
        yield name, _text(value)
        return
    for field in fields(value):
        if field.name not in _LEFT_OUT:
            yield from _flatten(getattr(value, field.name), f"{name} {field.name}")


def _text(value: Any) -> str:
    """Say a value; of paths only the last part counts, since the files are looked at."""
    if isinstance(value, Path):
        return value.name
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_text, value))})"
    return repr(dict(_flatten(value, ""))) if is_dataclass(value) else repr(value)


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
