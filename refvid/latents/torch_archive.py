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

from refvid.errors import InputError
from refvid.latents.containers import ZIP_ERRORS, file_errors

_MOST_PICKLE_BYTES: Final = 16 * 2**20
_KNOWN: Final = re.compile(
    r"collections OrderedDict"
    r"|torch\._utils _rebuild_(?:tensor|tensor_v2|tensor_v3|parameter)"
    r"|torch (?:\w+Storage|Size|device|b?float\d+\w*|u?int\d+|bool)"
    r"|torch\.storage (?:UntypedStorage|TypedStorage)"
)
_NEVER: Final = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}


def load_archive(path: Path) -> Any:
    """Load what torch.save wrote, with its tensors mapped from the disk.

    Raises:
        InputError: Damaged, packed, or holding anything but tensors, numbers, text, lists and
            dicts.
    """
    _check_pickle(path, _read_pickle(path))
    try:
        with warnings.catch_warnings(), file_errors(path):
            warnings.simplefilter("ignore")  # TypedStorage is deprecated, but files name it
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
    # torch reports damage with whatever its reader ran into.
    except (
        pickle.UnpicklingError,
        RuntimeError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        AssertionError,
        EOFError,
        OverflowError,
        UnicodeDecodeError,
        MemoryError,
    ) as error:
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise InputError(f"{path} cannot be read as a PyTorch file ({reason}).") from error


def _read_pickle(path: Path) -> bytes:
    """Check the archive's directory, and return its pickle."""
    try:
        with file_errors(path), zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            # torch.save packs nothing and stores nothing twice.
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise InputError(
                    f"{path} is a packed archive, which torch.save does not write. Save it again."
                )
            if sum(member.file_size for member in members) > path.stat().st_size:
                raise InputError(f"{path} is damaged: it declares more than it holds.")
            pickles = [
                member
                for member in members
                if member.filename == "data.pkl" or member.filename.endswith("/data.pkl")
            ]
            if len(pickles) != 1 or pickles[0].file_size > _MOST_PICKLE_BYTES:
                raise InputError(f"{path} is no file of torch.save that holds latents.")
            return archive.read(pickles[0])
    except ZIP_ERRORS as error:
        raise InputError(
            f"{path} is a damaged or incomplete archive ({error}). Fetch or save it again."
        ) from error


def _check_pickle(path: Path, data: bytes) -> None:
    """Refuse a pickle that asks for more than tensors need."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in what is damaged
            for opcode, argument, _ in pickletools.genops(data):
                asked = str(argument) if opcode.name == "GLOBAL" else opcode.name
                is_wrong = opcode.name == "GLOBAL" and not _KNOWN.fullmatch(asked)
                if is_wrong or opcode.name in _NEVER:
                    raise InputError(
                        f"{path} asks to load more than tensors ({asked.replace(' ', '.')}). That "
                        "could run any code, so refvid does not: save only tensors, numbers and "
                        "text, or use safetensors."
                    )
    except ValueError as error:  # what pickletools raises on anything damaged
        raise InputError(f"{path} has a damaged description of its tensors ({error}).") from error
