"""What the file system reports, in our words, where nobody closer to it has found any."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TypeVar

from refvid.errors import InputError, OutputError
from refvid.media.unfinished import is_unfinished

E = TypeVar("E", bound=BaseException)

# Reading never meets these.
_ONLY_OUTPUTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})


def named_error(error: E, output: Path | None = None) -> E | InputError | OutputError:
    """Turn an error of the file system that names a file into one of ours.

    Args:
        error: Any; those that are not about a file are given back.
        output: What was being written: errors about it, its folder or its unfinished file are
            the output's, all others are an input's.
    """
    if not isinstance(error, OSError):
        return error
    name = error.filename
    if error.errno in _ONLY_OUTPUTS:
        named: InputError | OutputError = OutputError(
            f"Cannot write {_words(name) or output or 'the result'}: {_reason(error)}."
        )
    elif not isinstance(name, str | bytes | os.PathLike):
        return error
    elif _is_of(Path(os.fsdecode(name)), output):
        named = OutputError(f"Cannot write {output or _words(name)}: {_reason(error)}.")
    else:
        named = InputError(f"Cannot read {_words(name)}: {_reason(error)}.")
    named.__cause__ = error
    return named


def _is_of(path: Path, output: Path | None) -> bool:
    if any(map(is_unfinished, path.parts)):
        return True
    return output is not None and path in (output, output.parent)


def _words(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
