"""Which model decodes latents, and whether it can."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from refvid.errors import InputError, OptionError
from refvid.latents.latents import Latents
from refvid.latents.recognise import read_backbone_name
from refvid.models.backbone import Backbone
from refvid.rebuild.choose_backbone import LoadedBackbone, choose_backbone
from refvid.rebuild.options import ModelOptions
from refvid.rebuild.pixels import padded_size
from refvid.rebuild.plan import refuse_independent_chunks


def choose_decoder(options: ModelOptions, sources: Sequence[Path]) -> LoadedBackbone:
    """Load the model that the latents are made for, or the one that was asked for.

    Raises:
        InputError: No model is asked for, and no source says which it needs.
        CheckpointError, DeviceError, OptionError: See `choose_backbone`.
    """
    chosen, reason = name_decoder(options, sources)
    loaded = choose_backbone(chosen)
    return replace(loaded, reason=reason or loaded.reason)


def name_decoder(options: ModelOptions, sources: Iterable[Path]) -> tuple[ModelOptions, str]:
    """Tell which model the latents are made for, unless one is asked for.

    Returns:
        Options with its name, and why it is this one; nothing if it was asked for.

    Raises:
        InputError: No model is asked for, and no source says which it needs.
    """
    if options.model != "auto" or options.weights is not None:
        return options, ""
    failure: InputError | None = None
    for source in sources:
        try:
            name = read_backbone_name(source)
        except InputError as error:
            failure = error
            continue
        return replace(options, model=name), f"{source.name} holds its latents"
    assert failure is not None, "there is a source"
    raise failure


def plain_decoder(backbone: Backbone) -> Backbone:
    """The same model with its reference attention skipped.

    Raises:
        OptionError: It has no such decoder.
    """
    decoder = backbone.plain()
    if decoder is None:
        raise OptionError(
            f"The model {backbone.name} has no plain decoder to compare with: leave out --baseline."
        )
    return decoder


def check_model(latents: Latents, loaded: LoadedBackbone) -> None:
    """Raise `InputError` where latents are not for a model."""
    refuse_independent_chunks(loaded)
    limits = loaded.backbone.limits
    if latents.backbone != loaded.name:
        raise InputError(
            f"{latents.path} holds latents of {latents.backbone}, which the model {loaded.name} "
            f"cannot read. Use --model {latents.backbone}."
        )
    size = (latents.padded_height, latents.padded_width)
    if padded_size(latents.height, latents.width, limits) != size:
        raise InputError(
            f"{latents.path} decodes to {size[1]}x{size[0]}, but the model {loaded.name} takes "
            f"multiples of {limits.size_multiple} from {limits.min_size} on."
        )
    if latents.temporal_stride != limits.temporal_stride:
        raise InputError(f"{latents.path} was written by another version of {loaded.name}.")
