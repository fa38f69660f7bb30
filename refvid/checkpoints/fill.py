"""Weights of a file -> a network without memory of its own, one after another.

What stays as it is in the file is mapped from the disk, and comes into memory when it is used. What
is converted, to another precision or device, and what is only looked at, is let go of at once:
neither the file nor a second network is ever in memory whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from refvid.checkpoints.checksums import check_sums, read_checksums
from refvid.checkpoints.state_dict import check_numbers
from refvid.errors import CheckpointMismatch
from refvid.safetensors_file import open_safetensors

_BATCH_VALUES: Final = 2**25
"""So many are checked and converted before they are let go of."""


class Placement(NamedTuple):
    """Where a network's weights go, and in which precision."""

    device: torch.device
    dtype: torch.dtype
    float32_keys: tuple[str, ...] = ()
    """Beginnings of keys whose weights are float32 whatever the precision."""

    def dtype_of(self, key: str, stored: torch.dtype) -> torch.dtype:
        """Precision of a weight; the stored one where another would only take more memory."""
        wanted = torch.float32 if key.startswith(self.float32_keys) else self.dtype
        return stored if stored.itemsize < wanted.itemsize else wanted

    def moves(self, key: str, weight: Tensor) -> bool:
        """Whether a weight that is in main memory takes other memory than it has."""
        return self.device.type != "cpu" or self.dtype_of(key, weight.dtype) != weight.dtype


def fill_network(
    network: nn.Module,
    path: Path,
    placement: Placement | None = None,
    *,
    leave_out: tuple[str, ...] = (),
) -> None:
    """Give a network on the meta device its weights.

    Args:
        network: Its keys are the file's.
        path: A safetensors file; it must stay as it is while the network lives.
        placement: Where the weights go; None leaves them in the file.
        leave_out: Beginnings of keys that stay without memory, as nobody will use them.

    Raises:
        CheckpointMismatch: The file is damaged.
    """
    keys = [key for key in network.state_dict() if not key.startswith(leave_out)]
    found: dict[str, Tensor] = {}
    stays: list[str] = []
    try:
        with open_safetensors(path) as file:
            sums = read_checksums(file.metadata() or {})
            batches = list(_batches(keys, file))
        for batch in batches:
            # Opened anew each time: what is read through a mapping is in memory as long as that.
            with open_safetensors(path) as file:
                for key in batch:
                    weight = _read(file, key, path, sums)
                    if placement is None or not placement.moves(key, weight):
                        stays.append(key)
                    else:
                        dtype = placement.dtype_of(key, weight.dtype)
                        found[key] = weight.to(placement.device, dtype, copy=True)
                    del weight
        with open_safetensors(path) as file:
            found |= {key: file.get_tensor(key) for key in stays}
    except SafetensorError as error:
        raise CheckpointMismatch(f"{path} is damaged ({error}). Fetch it again.") from error
    missing, unexpected = network.load_state_dict(found, strict=False, assign=True)
    assert not unexpected
    assert all(key.startswith(leave_out) for key in missing)


def _read(file: Any, key: str, path: Path, sums: dict[str, int]) -> Tensor:
    weight: Tensor = file.get_tensor(key)
    check_sums(path, {key: weight}, sums)
    if key not in sums:
        try:
            check_numbers({key: weight})
        except ValueError as error:
            raise CheckpointMismatch(f"The weights in {path} cannot be used: {error}.") from error
    return weight


def _batches(keys: Sequence[str], file: Any) -> Iterator[list[str]]:
    """Cut keys into groups with about the same number of values."""
    values = {key: math.prod(file.get_slice(key).get_shape()) for key in keys}
    batch: list[str] = []
    for key in keys:
        if batch and sum(values[known] for known in batch) + values[key] > _BATCH_VALUES:
            yield batch
            batch = []
        batch.append(key)
    if batch:
        yield batch
