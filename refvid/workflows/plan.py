"""What the workflows that compute share: fitting into memory, and plans as JSON."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refvid.errors import OptionError, OutOfMemory
from refvid.inference.device import free_bytes, is_out_of_memory
from refvid.inference.memory import Budget, choose_budget, describe_budget, plan_budget
from refvid.workflows.choose_model import LoadedBackbone
from refvid.workflows.rebuild_options import ModelOptions

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

logger = logging.getLogger(__name__)


def plan_memory(
    model: ModelOptions, loaded: LoadedBackbone, path: Path, height: int, width: int
) -> tuple[Budget, int, list[str]]:
    """Choose chunk and tile for frames of a size.

    Returns:
        The budget, the estimate of what it needs [bytes], and notes for the user.

    Raises:
        OutOfMemory: It does not fit, even in the smallest chunks and tiles.
    """
    backbone = loaded.backbone
    wanted = choose_budget(backbone.limits, height, width, model.chunk, model.tile)
    free = _allowed_bytes(model, loaded)
    planned = plan_budget(backbone, height, width, wanted, free)
    if planned.budget == wanted and planned.fits:
        return wanted, planned.memory_bytes, []
    assert free is not None, "an unknown amount fits anything"
    limit = f"{_amount(free)} are free on {loaded.device}"
    if model.memory is not None and model.memory <= free:
        limit = f"{_amount(free)} are allowed"
    numbers = f"about {_amount(planned.memory_bytes)}, and {limit}"
    if not planned.fits and model.tile == "auto":
        raise OutOfMemory(
            f"{path}: {width}x{height} does not fit into memory: even "
            f"{describe_budget(planned.budget)} needs {numbers}. Close other programs, allow more "
            "with --memory, or choose another --device."
        )
    if planned.fits:
        note = f"{describe_budget(planned.budget)}, to fit: {limit}"
    else:
        note = f"this may not fit: {describe_budget(planned.budget)} needs {numbers}"
    logger.warning("%s: %s", path, note)
    return planned.budget, planned.memory_bytes, [note]


def _allowed_bytes(model: ModelOptions, loaded: LoadedBackbone) -> int | None:
    """Free memory of the device, or less where the user allows less [bytes]."""
    known = [count for count in (free_bytes(loaded.device), model.memory) if count is not None]
    return min(known, default=None)


def _amount(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def refuse_independent_chunks(loaded: LoadedBackbone) -> None:
    """Raise `OptionError` where every chunk would be a shot of its own: latents are one."""
    if loaded.backbone.limits.independent_chunks:
        raise OptionError("Files of latents are one continuous shot: leave out independent chunks.")


@contextmanager
def out_of_memory_errors() -> Iterator[None]:
    """Name the failure of what is too small to be planned."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            "Memory ran out beside the model's own work. Close other programs, or choose a "
            f"smaller --chunk or another --device. ({str(error).partition(chr(10))[0]})"
        ) from error


def plain_fields(record: DataclassInstance) -> dict[str, Any]:
    """Turn a plan or report into plain JSON types, field by field."""
    return {field.name: _plain(getattr(record, field.name)) for field in fields(record)}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
