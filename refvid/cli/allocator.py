"""What libraries are told about memory before they are loaded."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

# Numbers of mallopt(3) in glibc's malloc.h.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8


def reuse_freed_memory() -> None:
    """Let glibc keep up to 512 MiB of freed memory for the next frames.

    By default it goes back to the system at once, and every frame's tensors are paged in anew: a
    tenth of the processor time of `enhance`. Two arenas instead of eight per core make up for what
    is kept: peak memory stays as it was. Elsewhere than on glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return
    mallopt(_MMAP_THRESHOLD, 32 << 20)
    mallopt(_TRIM_THRESHOLD, 512 << 20)
    mallopt(_ARENA_MAX, 2)


def spare_address_space() -> None:
    """Where `ulimit -v` limits this process, keep OpenBLAS, which OpenCV loads, to one core.

    It reserves memory for every core, and where it gets none it takes the process down.
    """
    if resource is None or resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
