"""Checkpoints of a run: one folder each, whole or not there at all.

RUN/checkpoints/step-00000400/
    model.safetensors, optimizer.bin, random_states_*.pkl    Accelerate's
    average.safetensors                                      the averaged weights
    progress.json                                            steps, data position, clock
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from refvid.errors import CheckpointMismatch, CheckpointUnavailable

_FOLDER = "checkpoints"
_PREFIX = "step-"
AVERAGE_FILE = "average.safetensors"
MODEL_FILE = "model.safetensors"
_PROGRESS_FILE = "progress.json"


@dataclass(slots=True)
class RunProgress:
    """How far a run is."""

    step: int = 0
    position: int = 0
    """Batches that have been drawn, by all processes."""

    seconds: float = 0.0
    """Time spent in steps, over all resumptions."""

    losses: list[float] = field(default_factory=list)
    """Of the steps since the last line of the metrics."""


def find_checkpoints(run: Path) -> list[Path]:
    """Whole checkpoints of a run, oldest first."""
    return sorted(
        path
        for path in (run / _FOLDER).glob(f"{_PREFIX}*")
        if path.suffix == "" and (path / _PROGRESS_FILE).is_file()
    )


def newest_checkpoint(run: Path) -> Path:
    """The checkpoint to go on from.

    Raises:
        CheckpointUnavailable: The run has none.
    """
    found = find_checkpoints(run)
    if not found:
        raise CheckpointUnavailable(f"{run} holds no checkpoint of a training run.")
    return found[-1]


def read_progress(checkpoint: Path) -> RunProgress:
    """How far the run was.

    Raises:
        CheckpointMismatch: The file is damaged.
    """
    path = checkpoint / _PROGRESS_FILE
    try:
        progress = RunProgress(**json.loads(path.read_text(encoding="utf-8")))
        for name in ("step", "position", "seconds"):
            if not 0 <= getattr(progress, name) < 2**63:
                raise ValueError(f"its {name} is impossible")
        return progress
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointMismatch(f"{path} is no record of a run's progress: {error}.") from error


def partial_checkpoint(run: Path, step: int) -> Path:
    """The folder that `publish_checkpoint` makes a checkpoint of."""
    return run / _FOLDER / f"{_PREFIX}{step:08d}.partial"


def publish_checkpoint(partial: Path, progress: RunProgress, keep: int) -> Path:
    """Give a folder that holds everything its name, and remove older checkpoints than the last.

    A crash before this leaves the checkpoint before; one after it leaves this one.
    """
    (partial / _PROGRESS_FILE).write_text(json.dumps(asdict(progress)), encoding="utf-8")
    target = partial.with_suffix("")
    if target.exists():
        shutil.rmtree(target)
    partial.replace(target)
    for old in find_checkpoints(partial.parents[1])[:-keep]:
        shutil.rmtree(old)
    return target


def remove_leftovers(run: Path) -> None:
    """Remove what a crash left half-written."""
    for path in (run / _FOLDER).glob("*.partial"):
        shutil.rmtree(path, ignore_errors=True)
