"""`refvid train --export`: a run's averaged weights as a file for `--model`."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from refvid.errors import CheckpointMismatch, CheckpointUnavailable
from refvid.training.checkpoint import AVERAGE_FILE, MODEL_FILE, newest_checkpoint
from refvid.training.engine import write_weights
from refvid.training.make_recipe import make_recipe
from refvid.training.read_config import SAVED_CONFIG, build_config


def export_run(run: Path, output: Path, *, overwrite: bool = False) -> Path:
    """Write the averaged weights of a run's newest checkpoint.

    Args:
        run: The run's folder; it may still be training.
        output: A safetensors file; its metadata holds the network's sizes.
        overwrite: Replace the file if it exists.

    Raises:
        CheckpointUnavailable: The run has no checkpoint.
        CheckpointMismatch: The checkpoint is damaged.
        OutputError: The file exists or cannot be written.
    """
    if not (run / SAVED_CONFIG).is_file():
        raise CheckpointUnavailable(f"{run} is no folder of a training run.")
    checkpoint = newest_checkpoint(run)
    recipe, _ = make_recipe(build_config(saved=run / SAVED_CONFIG), fresh=False)
    try:
        state = {**load_file(checkpoint / MODEL_FILE), **load_file(checkpoint / AVERAGE_FILE)}
    except (OSError, SafetensorError) as error:
        raise CheckpointMismatch(f"{checkpoint} is damaged: {error}.") from error
    write_weights(recipe, state, output, overwrite=overwrite)
    return output
