"""Models, loaded for one call or for many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from refvid.api.keywords import File
from refvid.progress import TransferCallback, ignore_transfer
from refvid.words import parse_model

if TYPE_CHECKING:
    from refvid.models.registry import Chunking, Kind
    from refvid.rebuild.choose_backbone import LoadedBackbone
    from refvid.settings import DType


def load_model(
    model: File = "auto",
    *,
    weights: File | None = None,
    device: str = "auto",
    dtype: DType = "auto",
    chunk: int | None = None,
    tile: str | int = "auto",
    memory: str | int | None = None,
    chunking: Chunking = "carry",
    on_transfer: TransferCallback = ignore_transfer,
) -> LoadedBackbone:
    """Load a model, to be given to any number of calls as `model`.

    Args:
        model: auto, mini, mini-style, wan2.1, videovae+ or another name, or a path with weights.
        weights: A file with weights for it.
        device: auto, cpu, cuda, cuda:N, mps or xpu.
        dtype: Precision: auto, bf16, fp16 or fp32.
        chunk: Frames per model call; fewer need less memory. None is the model's choice.
        tile: auto, off, or the side of windows in which it works [pixels].
        memory: What its work may take, in bytes or words such as 8G. None is what is free.
        chunking: Join chunks, or decode each alone as published.
        on_transfer: Told how far downloading, checking and converting of weights are.

    Returns:
        The model on its device; nothing of a call stays in it.

    Raises:
        OptionError: A name or word is not known, or options contradict each other.
        DeviceError: The device is not on this machine.
        CheckpointError: The weights are missing or do not fit.
    """
    options = parse_model(
        {
            "model": str(model),
            "weights": weights,
            "device": device,
            "dtype": dtype,
            "chunk": chunk,
            "tile": tile,
            "memory": memory,
            "chunking": chunking,
        }
    )
    from refvid.models.registry import find_backbone
    from refvid.rebuild.choose_backbone import choose_backbone

    spec = find_backbone(options.model)
    return choose_backbone(options, on_transfer, kind="restore" if spec is None else spec.kind)


def use_model(
    model: File | LoadedBackbone,
    kind: Kind = "restore",
    *,
    strength: float = 1.0,
    latents: Path | None = None,
    attention: bool = True,
) -> LoadedBackbone:
    """The model of a call: none at strength 0; `latents` may tell which one they are for."""
    from refvid.rebuild.choose_backbone import LoadedBackbone, check_kind, choose_backbone
    from refvid.rebuild.choose_decoder import choose_decoder
    from refvid.rebuild.options import ModelOptions
    from refvid.rebuild.unchanged import no_model

    if isinstance(model, LoadedBackbone):
        check_kind(model.name, kind)
        return model
    if strength == 0:
        return no_model()
    options = ModelOptions(model=str(model), attention=attention)
    if latents is not None:
        return choose_decoder(options, [latents])
    return choose_backbone(options, kind=kind)
