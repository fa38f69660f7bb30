"""A file of named tensors, opened without running code and without loading the tensors.

What a file declares is held against what is on the disk before anything is allocated: a mapped
tensor costs no memory until it is read, and one that must be unpacked is limited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from torch import Tensor

from refvid.errors import InputError
from refvid.latents.containers import file_errors, is_legacy_torch, sniff_container
from refvid.latents.numpy_file import open_npy, open_npz
from refvid.old_archive import OLD_ARCHIVE_ADVICE
from refvid.safetensors_file import open_safetensors
from refvid.torch_archive import ArchiveError, UnsafeArchiveError, load_archive

_MOST_ENTRIES: Final = 10_000
_FLOATS: Final = {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One tensor of a file."""

    shape: tuple[int, ...]
    dtype: str
    """float32, bfloat16, ..."""

    is_float: bool
    load: Callable[[], Tensor]
    """Maps it into memory, or unpacks it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorFile:
    """What a file holds."""

    path: Path
    container: str
    entries: dict[str, Entry]
    """By key; a bare tensor has the key ``, tensors of a list `0`, `1`, ..."""

    metadata: dict[str, Any] = field(default_factory=dict)
    """Text of a safetensors header; numbers and text beside the tensors in other files."""


def open_tensor_file(path: Path) -> TensorFile:
    """Open a file of tensors.

    Raises:
        InputError: It is no such file, damaged, holds other things than tensors, numbers and
            text, or declares more than it has.
    """
    container = sniff_container(path)
    if container == "safetensors":
        return _open_safetensors(path)
    if container == "torch":
        return _open_torch(path)
    if container == "npy":
        array = open_npy(path)
        return TensorFile(
            path=path,
            container="npy",
            entries={"": Entry(**array.describe(), load=array.load)},
        )
    if container == "npz":
        arrays = open_npz(path)
        return TensorFile(
            path=path,
            container="npz",
            entries={
                name: Entry(**array.describe(), load=array.load) for name, array in arrays.items()
            },
        )
    if is_legacy_torch(path):
        raise InputError(f"{path}: {OLD_ARCHIVE_ADVICE}.")
    if container == "pickle":
        raise InputError(
            f"{path} is a Python pickle. Loading it could run any code, so refvid does not: save "
            "the latents again with torch.save, or as safetensors or .npy."
        )
    raise InputError(
        f"{path} holds no tensors that refvid can read. Latents come as safetensors, .latent, "
        ".pt, .npy or .npz files."
    )


def _open_safetensors(path: Path) -> TensorFile:
    with _safetensors_errors(path), open_safetensors(path) as file:
        names = list(file.keys())
        if len(names) > _MOST_ENTRIES:
            raise InputError(f"{path} holds {len(names)} tensors: these are no latents.")
        entries = {}
        for name in names:
            piece = file.get_slice(name)
            code = str(piece.get_dtype())
            entries[name] = Entry(
                shape=tuple(piece.get_shape()),
                dtype=_NAMES.get(code, code.lower()),
                is_float=code in _FLOATS,
                load=_SafetensorsLoader(path, name),
            )
        metadata = dict(file.metadata() or {})
    return TensorFile(path=path, container="safetensors", entries=entries, metadata=metadata)


@dataclass(frozen=True, slots=True)
class _SafetensorsLoader:
    path: Path
    name: str

    def __call__(self) -> Tensor:
        with _safetensors_errors(self.path), open_safetensors(self.path) as file:
            tensor: Tensor = file.get_tensor(self.name)  # mapped: read when it is used
            return tensor


class _safetensors_errors:  # noqa: N801 - used like the functions of contextlib
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, SafetensorError | OSError | ValueError | OverflowError):
            raise InputError(
                f"{self._path} is no whole safetensors file ({error}). Fetch or save it again."
            ) from error


_NAMES: Final = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def _open_torch(path: Path) -> TensorFile:
    try:
        with file_errors(path):
            content = load_archive(path)
    except UnsafeArchiveError as error:
        raise InputError(
            f"{path} asks to load more than tensors ({error}). That could run any code, so refvid "
            "does not: save only tensors, numbers and text, or use safetensors."
        ) from error
    except ArchiveError as error:
        raise InputError(f"{path} is {error}. Fetch or save it again.") from error
    entries: dict[str, Entry] = {}
    metadata: dict[str, Any] = {}
    for name, value in _flatten(content):
        if isinstance(value, Tensor):
            _check_storage(path, name, value)
            entries[name] = Entry(
                shape=tuple(value.shape),
                dtype=str(value.dtype).removeprefix("torch."),
                is_float=value.is_floating_point(),
                load=_Loaded(value),
            )
        elif isinstance(value, str | int | float | bool):
            metadata[name] = value
        if len(entries) + len(metadata) > _MOST_ENTRIES:
            raise InputError(f"{path} holds very many values: these are no latents.")
    return TensorFile(path=path, container="torch", entries=entries, metadata=metadata)


@dataclass(frozen=True, slots=True)
class _Loaded:
    tensor: Tensor

    def __call__(self) -> Tensor:
        return self.tensor.detach()


def _flatten(content: Any) -> Iterator[tuple[str, Any]]:
    """Name the values of a dict or list, and of such within it; no deeper."""
    for name, value in _children("", content):
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, Mapping | list | tuple):
            yield from _children(f"{name}.", value)
        else:
            yield name, value


def _children(prefix: str, content: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(content, Mapping):
        yield from ((f"{prefix}{key}", value) for key, value in content.items())
    elif isinstance(content, list | tuple):
        yield from ((f"{prefix}{index}", value) for index, value in enumerate(content))
    else:
        yield prefix, content


def _check_storage(path: Path, name: str, tensor: Tensor) -> None:
    """Refuse a tensor that repeats its numbers: a few bytes could stand for terabytes."""
    if tensor.is_sparse or tensor.is_quantized or tensor.device.type != "cpu":
        raise InputError(f"{path}: {name or 'the tensor'} is no plain tensor. Save it as one.")
    needed = prod(tensor.shape) * tensor.element_size()
    if needed > tensor.untyped_storage().nbytes():
        raise InputError(
            f"{path}: {name or 'the tensor'} claims the shape {list(tensor.shape)}, but the file "
            "does not hold that many numbers. Save it with .contiguous()."
        )
