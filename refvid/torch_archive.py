"""Files of torch.save: zip archives with a pickle that describes tensors, looked at before use.

`torch.load(weights_only=True)` runs no code, but trusts sizes: what it may be asked to build is
checked first, so that a small file cannot fill the memory.
"""

from __future__ import annotations

import pickle
import pickletools
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any, Final

import torch

_READER_ERRORS: Final = (
    # torch and zipfile report damage with whatever their readers ran into.
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    pickle.UnpicklingError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ImportError,
    EOFError,
    OverflowError,
    MemoryError,
)
_MOST_PICKLE_BYTES: Final = 16 * 2**20
_KNOWN: Final = re.compile(
    r"collections OrderedDict"
    r"|torch\._utils _rebuild_(?:tensor|tensor_v2|tensor_v3|parameter)"
    r"|torch (?:\w+Storage|Size|device|b?float\d+\w*|u?int\d+|bool)"
    r"|torch\.storage (?:UntypedStorage|TypedStorage)"
)
_NEVER: Final = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}


class ArchiveError(ValueError):
    """What is wrong with an archive, in words that follow "it is"; callers know what it is for."""


class DamagedArchiveError(ArchiveError):
    """It is not whole, or declares what it does not hold."""


class PackedArchiveError(ArchiveError):
    """Compressed inside, which torch.save never does; unpacking could take any memory."""


class UnsafeArchiveError(ArchiveError):
    """It asks for more than tensors, numbers, text, lists and dicts: that could run any code."""


def load_archive(path: Path) -> Any:
    """Load what torch.save wrote, with its tensors mapped from the disk.

    Raises:
        ArchiveError: Damaged, packed, or holding anything but tensors, numbers, text, lists and
            dicts.
        OSError: It cannot be read.
    """
    _check_pickle(_read_pickle(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TypedStorage is deprecated, but files name it
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
    except _READER_ERRORS as error:
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise DamagedArchiveError(f"no readable PyTorch file ({reason})") from error


def _read_pickle(path: Path) -> bytes:
    """Check the archive's directory, and return its pickle."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            # torch.save packs nothing and stores nothing twice.
            for member in members:
                if member.compress_type != zipfile.ZIP_STORED:
                    raise PackedArchiveError(f"compressed inside ({member.filename})")
            if sum(member.file_size for member in members) > path.stat().st_size:
                raise DamagedArchiveError("damaged: it declares more than it holds")
            pickles = [
                member
                for member in members
                if member.filename == "data.pkl" or member.filename.endswith("/data.pkl")
            ]
            if len(pickles) != 1 or pickles[0].file_size > _MOST_PICKLE_BYTES:
                raise DamagedArchiveError("no file of torch.save that holds tensors")
            return archive.read(pickles[0])
    except ArchiveError:
        raise
    except _READER_ERRORS as error:
        raise DamagedArchiveError(f"a damaged or incomplete archive ({error})") from error


def _check_pickle(data: bytes) -> None:
    """Refuse a pickle that asks for more than tensors need."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in what is damaged
            for opcode, argument, _ in pickletools.genops(data):
                asked = str(argument) if opcode.name == "GLOBAL" else opcode.name
                is_wrong = opcode.name == "GLOBAL" and not _KNOWN.fullmatch(asked)
                if is_wrong or opcode.name in _NEVER:
                    raise UnsafeArchiveError(asked.replace(" ", "."))
    except ArchiveError:
        raise
    except ValueError as error:  # what pickletools raises on anything damaged
        raise DamagedArchiveError(
            f"without a whole description of its tensors ({error})"
        ) from error
