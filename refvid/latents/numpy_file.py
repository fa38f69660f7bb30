"""Arrays in .npy and .npz files, without pickles; unpacking is limited."""

from __future__ import annotations

import io
import tokenize
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import torch
from torch import Tensor

from refvid.errors import InputError
from refvid.latents.containers import ZIP_ERRORS, file_errors
from refvid.zip_directory import open_zip

_MOST_UNPACKED: Final = 2**29
"""Packed arrays are unpacked in memory: ten minutes of 480p latents in 16 bits would still fit."""

_NUMPY_FLOATS: Final = {"float16", "float32", "float64"}

_LENGTH_BYTES: Final = {(1, 0): 2, (2, 0): 4}
_MOST_HEADER_BYTES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayFile:
    """An array that is not loaded yet."""

    path: Path
    member: str | None
    """Name inside an .npz; None is a bare .npy."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def describe(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "dtype": str(self.dtype),
            "is_float": self.dtype.name in _NUMPY_FLOATS,
        }

    def load(self) -> Tensor:
        """Map the array into memory (.npy), or unpack it (.npz)."""
        with _array_errors(self.path):
            if self.member is None:
                # Copy on write: torch wants memory that could be written to.
                array = np.load(self.path, mmap_mode="c", allow_pickle=False)
            else:
                with open_zip(self.path) as archive, archive.open(self.member) as file:
                    array = np.load(file, allow_pickle=False)
            if not array.dtype.isnative:
                if array.nbytes > _MOST_UNPACKED:
                    raise InputError(
                        f"{self.path} is in the byte order of another kind of machine, and too "
                        f"large to be turned in memory ({array.nbytes} bytes). Save it again."
                    )
                array = array.byteswap(inplace=True).view(array.dtype.newbyteorder("="))
            return torch.from_numpy(np.asarray(array))


def open_npy(path: Path) -> ArrayFile:
    """Read the header of an .npy file.

    Raises:
        InputError: Damaged, too short for its shape, or an array of Python objects.
    """
    with _array_errors(path), path.open("rb") as file:
        shape, dtype = _read_header(file)
        present = path.stat().st_size - file.tell()
    return _checked(path, None, shape, dtype, present)


def open_npz(path: Path) -> dict[str, ArrayFile]:
    """Read the headers of an .npz file's arrays.

    Raises:
        InputError: Damaged, too large when unpacked, or with arrays of Python objects.
    """
    arrays = {}
    with _array_errors(path), open_zip(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            if member.file_size > _MOST_UNPACKED:
                raise InputError(
                    f"{path}: {member.filename} unpacks to {member.file_size} bytes, more than "
                    "refvid unpacks. Save large latents as .npy or safetensors."
                )
            with archive.open(member) as file:
                shape, dtype = _read_header(file)
                present = member.file_size - file.tell()
            name = member.filename.removesuffix(".npy")
            arrays[name] = _checked(path, member.filename, shape, dtype, present)
    return arrays


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read shape and type; the file is then at the array's first byte."""
    version = np.lib.format.read_magic(file)
    if version not in _LENGTH_BYTES:
        raise ValueError(f"version {version} of the format is not known")
    field = file.read(_LENGTH_BYTES[version])
    length = int.from_bytes(field, "little")
    if length > _MOST_HEADER_BYTES:
        raise ValueError(f"its header claims {length} bytes")
    header = io.BytesIO(field + file.read(length))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers of Python 2 are read too
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(header)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(header)
    return shape, dtype


def _checked(
    path: Path, member: str | None, shape: tuple[int, ...], dtype: np.dtype[Any], present: int
) -> ArrayFile:
    name = path if member is None else f"{path}: {member}"
    if dtype.hasobject:
        raise InputError(
            f"{name} holds Python objects. Loading them could run any code, so refvid does not: "
            "save the array of numbers alone."
        )
    if any(side < 0 for side in shape) or prod(shape) * dtype.itemsize != present:
        raise InputError(
            f"{name} is damaged: its shape {list(shape)} of {dtype} needs "
            f"{prod(shape) * dtype.itemsize} bytes, but it has {present}. Fetch or save it again."
        )
    return ArrayFile(path=path, member=member, shape=shape, dtype=dtype)


@contextmanager
def _array_errors(path: Path) -> Iterator[None]:
    try:
        with file_errors(path):
            yield
    # A header is a Python literal: parsing a damaged one fails in many ways.
    except (
        *ZIP_ERRORS,
        SyntaxError,
        TypeError,
        KeyError,
        MemoryError,
        tokenize.TokenError,
        zlib.error,
    ) as error:
        raise InputError(
            f"{path} cannot be read as NumPy arrays ({_first_line(error)}). Fetch or save it again."
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
