"""Every error a caller may see, with the exit code the program gives it.

    RefvidError
    ├── OptionError             2   options impossible or contradictory (also a ValueError)
    │   └── LicenceNotAccepted      terms that must be accepted before a download
    ├── InputError              3   source or reference missing, damaged, without a video track
    ├── OutputError             4   output exists, cannot be written, encoder missing, disk full
    ├── CheckpointError         5   weights
    │   ├── CheckpointUnavailable   not found, or offline
    │   └── CheckpointMismatch      wrong hash, keys or shapes
    └── DeviceError             6   no such device
        └── OutOfMemory             does not fit, even with the smallest plan

Anything else is a bug (exit code 1). Ctrl-C is 130. A batch in which some files failed ends
with the code of the failure if all failures share one, else with `BATCH_EXIT_CODE`.

A message says what failed, on which file, and what to do next.
"""

import errno
import re

BATCH_EXIT_CODE = 7
INTERRUPTED_EXIT_CODE = 130


class RefvidError(Exception):
    """Base of every error that refvid raises on purpose."""

    exit_code = 1


class OptionError(RefvidError, ValueError):
    """Options are impossible on their own or contradict each other."""

    exit_code = 2


class LicenceNotAccepted(OptionError):
    """A model's terms must be accepted before its weights are downloaded."""

    def __init__(self, message: str, *, entry_name: str, terms: str) -> None:
        super().__init__(message)
        self.entry_name = entry_name
        self.terms = terms
        """The terms alone, for whoever asks."""


class InputError(RefvidError):
    """A source or reference is missing, damaged or not what it should be."""

    exit_code = 3


class OutputError(RefvidError):
    """The result cannot be written where or how it was asked for."""

    exit_code = 4


class CheckpointError(RefvidError):
    """Weights could not be made ready."""

    exit_code = 5


class CheckpointUnavailable(CheckpointError):
    """Weights are not on this machine and could not be fetched."""


class CheckpointMismatch(CheckpointError):
    """A weights file is not the one that was expected, or does not fit the network."""


class DeviceError(RefvidError):
    """The computing device does not exist or cannot do what was asked."""

    exit_code = 6


class OutOfMemory(DeviceError):
    """The job does not fit into memory, even with the smallest plan."""


_ALLOCATION_FAILED = re.compile(
    # PyTorch, and what it computes with.
    r"out of memory|DefaultCPUAllocator|can't allocate memory|unable to mmap"
    r"|could not create a (?:primitive(?! desc)|memory)"
    r"|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_(?:ALLOC|INTERNAL_ERROR_HOST_ALLOCATION)_FAILED"
    # Python, the C library and the loader of libraries, where a limit is set from outside.
    r"|bad_alloc|can't start new thread|[Cc]annot allocate memory|failed to map segment"
    # Windows.
    r"|not enough memory"
)


_OPENCV_NO_MEMORY = -4


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, whoever raised it, means that memory ran out or must not be had."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    if type(error).__module__ == "cv2":
        return getattr(error, "code", None) == _OPENCV_NO_MEMORY
    is_kind = isinstance(error, RuntimeError | ImportError | OSError)
    return is_kind and _ALLOCATION_FAILED.search(str(error)) is not None
