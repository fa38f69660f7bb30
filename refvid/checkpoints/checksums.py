"""Whether weights are what was written: a byte that has changed on the disk is found out.

Their sums are noted when refvid writes them. Comparing these costs no more than reading the
numbers; a hash of the whole file at every start would.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from refvid.errors import CheckpointMismatch

CHECKSUMS_KEY: Final = "checksums"
"""Metadata entry with the sums as JSON, by the weights' names."""

_INTEGERS: Final = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def checksum(tensor: Tensor) -> int:
    """Add up the bits of a contiguous tensor, taken for whole numbers of its own size."""
    whole = tensor.detach().flatten().view(_INTEGERS[tensor.element_size()])
    return int(whole.sum(dtype=torch.int64))


def note_checksums(weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Metadata for a file of these weights."""
    sums = {key: checksum(tensor) for key, tensor in weights.items()}
    return {CHECKSUMS_KEY: json.dumps(sums, separators=(",", ":"))}


def read_checksums(metadata: Mapping[str, str]) -> dict[str, int]:
    """The sums that were noted in a file's metadata; empty where there are none."""
    try:
        sums = json.loads(metadata.get(CHECKSUMS_KEY, "{}"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(sums, dict):
        return {}
    return {key: value for key, value in sums.items() if isinstance(value, int)}


def check_weight(path: Path, key: str, weight: Tensor, sums: Mapping[str, int]) -> None:
    """Hold a weight against what was noted; where nothing was, see that all of it are numbers.

    Raises:
        CheckpointMismatch: It is not what was written, or holds NaN or infinity.
    """
    if key in sums:
        if checksum(weight) != sums[key]:
            raise CheckpointMismatch(
                f"{path} is damaged: its weight {key} is not what was written. Fetch or make it "
                "again."
            )
    elif weight.is_floating_point() and not is_finite(weight):
        raise CheckpointMismatch(
            f"{path} cannot be used: its weight {key} holds NaN or infinity. The training that "
            "made it failed, or the file is damaged."
        )


def is_finite(weight: Tensor) -> bool:
    """Whether a floating-point weight holds neither NaN nor infinity; none of it is copied."""
    if weight.element_size() == 1:
        weight = weight.float()  # too small to be added up
    # A sum is NaN or infinite where a number is, and seldom else: then all are looked at.
    wide = torch.float64 if weight.dtype == torch.float64 else torch.float32
    return bool(weight.sum(dtype=wide).isfinite()) or bool(weight.isfinite().all())
