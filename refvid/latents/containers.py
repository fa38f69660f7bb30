"""What kind of file holds the tensors, told by its bytes and never by its name. No torch."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from refvid.errors import InputError
from refvid.media.folders import is_file, refuse_special
from refvid.old_archive import is_old_archive
from refvid.zip_directory import open_zip

Container = Literal["safetensors", "torch", "npz", "npy", "pickle"]
"""`pickle` is recognised to be refused: loading it may run any code."""

# What zipfile raises on damaged or hostile archives.
ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    EOFError,
    IndexError,
)

_NUMPY_MAGIC: Final = b"\x93NUMPY"
_ZIP_MAGIC: Final = b"PK\x03\x04"


def sniff_container(path: Path) -> Container | None:
    """Tell what a file is by its first bytes; None where it can hold no latents.

    Raises:
        InputError: It cannot be read.
    """
    refuse_special(path)
    with file_errors(path), path.open("rb") as file:
        start = file.read(16)
    if start.startswith(_NUMPY_MAGIC):
        return "npy"
    if start.startswith(_ZIP_MAGIC):
        return _zip_kind(path)
    # Eight bytes of length, then JSON.
    if start[8:9] == b"{" and start[9:10] in (b'"', b"}", b" ", b"\n", b"\t", b"\r"):
        return "safetensors"
    # Protocol 2 and later begin like this; it is also the old format of torch.save.
    if len(start) > 2 and start[0] == 0x80 and 2 <= start[1] <= 5:
        return "pickle"
    return None


def holds_tensors(path: Path) -> bool:
    """Whether a folder's file is worth looking into: a container, and readable."""
    if not is_file(path):
        return False
    try:
        return sniff_container(path) not in (None, "pickle")
    except InputError:
        return False


def is_legacy_torch(path: Path) -> bool:
    """Whether a file was written by torch.save before version 1.6."""
    with file_errors(path), path.open("rb") as file:
        return is_old_archive(file.read(512))


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Name the file in whatever the file system reports."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Check the path.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder. Give a file of latents.") from error
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error


def _zip_kind(path: Path) -> Container | None:
    try:
        with file_errors(path), open_zip(path) as archive:
            names = archive.namelist()
    except ZIP_ERRORS:
        # torch.load and np.load would not open it either; the reader says what is wrong.
        return "torch"
    if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        return "torch"
    return "npz" if any(name.endswith(".npy") for name in names) else None
