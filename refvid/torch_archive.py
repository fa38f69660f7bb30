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
from typing import Any, Final, NamedTuple

import torch

from refvid.zip_directory import open_zip

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
_MOST_PICKLE_BYTES: Final = 2**23
"""A tensor's description takes about 150 bytes. What a pickle builds takes up to a hundred times as
much as itself, hence the next one."""

_MOST_STEPS: Final = 2_000_000
"""Instructions of a pickle; a tensor takes about 30."""

_DEEPEST: Final = 100
"""Containers within containers; those of torch.save are a dozen deep."""

_CALLED: Final = re.compile(
    r"collections OrderedDict"
    r"|torch\._utils _rebuild_(?:tensor|tensor_v2|tensor_v3|parameter)"
    r"|torch (?:Size|device)"
)
_KNOWN: Final = re.compile(
    rf"{_CALLED.pattern}"
    r"|torch (?:\w+Storage|b?float\d+\w*|u?int\d+|bool)"
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
        with open_zip(path) as archive:
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
    machine = _Machine()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in what is damaged
            for step, (opcode, argument, _) in enumerate(pickletools.genops(data)):
                if opcode.name in _NEVER:
                    raise UnsafeArchiveError(opcode.name)
                machine.follow(opcode, argument)
                if step >= _MOST_STEPS or machine.depth > _DEEPEST:
                    raise DamagedArchiveError("no file of torch.save that holds tensors")
    except ArchiveError:
        raise
    except (ValueError, LookupError) as error:  # what is raised on anything damaged
        raise DamagedArchiveError(
            f"without a whole description of its tensors ({error})"
        ) from error


class _Built(NamedTuple):
    """What stands for a value that a pickle builds."""

    depth: int
    """Containers within it."""

    name: str = ""
    """Of a function or type."""


class _Machine:
    """Goes through a pickle without building anything.

    It finds what is called: a type of storage is only ever named, since called it takes any memory.
    And it finds how deep containers nest: a tuple as a key is hashed by recursion in C, which ends
    the process when it is deep.
    """

    _CHANGES: Final = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "BUILD"}

    def __init__(self) -> None:
        self.depth = 0
        self._stack: list[_Built] = []
        self._below_marks: list[list[_Built]] = []
        self._memo: dict[Any, _Built] = {}

    def follow(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """Take one step.

        Raises:
            UnsafeArchiveError: It names or calls what no tensor needs.
            LookupError: This is no whole pickle.
        """
        name = opcode.name
        if name == "MARK":
            self._below_marks.append(self._stack)
            self._stack = []
        elif name == "GLOBAL":
            if not _KNOWN.fullmatch(argument):
                raise UnsafeArchiveError(argument.replace(" ", "."))
            self._stack.append(_Built(0, argument))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if name == "MEMOIZE" else argument] = self._stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self._stack.append(self._memo[argument])
        else:
            taken = self._take(opcode)
            if name == "REDUCE" and not _CALLED.fullmatch(taken[0].name):
                raise UnsafeArchiveError(taken[0].name.replace(" ", ".") or name)
            changed = taken[:1] if name in self._CHANGES else []
            within = max((value.depth for value in taken[len(changed) :]), default=-1) + 1
            made = _Built(max([within, *(value.depth for value in changed)]))
            self._stack += [made] * len(opcode.stack_after)
            self.depth = max(self.depth, made.depth)

    def _take(self, opcode: pickletools.OpcodeInfo) -> list[_Built]:
        """What an instruction takes from the stack, the lowest first."""
        before, taken = opcode.stack_before, []
        if pickletools.markobject in before:
            taken, self._stack = self._stack, self._below_marks.pop()
            before = before[: before.index(pickletools.markobject)]
        below = [self._stack.pop() for _ in before]
        return below[::-1] + taken
