"""Options -> a loaded model on a device, with the reason for every choice made for the user."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import torch

from refvid.checkpoints.cache import Cache
from refvid.checkpoints.catalog import CATALOG, Catalog
from refvid.checkpoints.hub_cache import locate
from refvid.checkpoints.load import identify, load_backbone
from refvid.checkpoints.outline import describe_missing, outline_backbone
from refvid.device import DTYPE_NAMES, choose_device, choose_dtype, describe_device
from refvid.errors import CheckpointUnavailable, OptionError
from refvid.models.backbone import Backbone
from refvid.models.registry import MINI, MINI_STYLE, WAN, Kind, find_backbone, names
from refvid.progress import TransferCallback, ignore_transfer
from refvid.rebuild.memory import Budget
from refvid.rebuild.options import ModelOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedBackbone:
    """A model ready to run."""

    backbone: Backbone
    device: torch.device
    dtype: torch.dtype
    reason: str
    """Why this model was chosen, for people."""

    options: ModelOptions = ModelOptions()  # noqa: RUF009 - frozen
    """What was asked for: chunk, tile and memory are settled per video."""

    missing: str = ""
    """Why it has no weights: then it is good for plans alone."""

    fitted: dict[tuple[int, int], Budget] = field(default_factory=dict, compare=False)
    """What fitted into memory where more had not, by height and width; grows with the runs."""

    @property
    def name(self) -> str:
        """What `--model` calls it."""
        return self.backbone.name

    @property
    def dtype_name(self) -> str:
        """bf16, fp16 or fp32."""
        return DTYPE_NAMES[self.dtype]


def choose_backbone(
    options: ModelOptions,
    on_transfer: TransferCallback = ignore_transfer,
    *,
    kind: Kind = "restore",
    may_fetch: bool = True,
) -> LoadedBackbone:
    """Pick device, precision and model, and load the weights.

    Args:
        options: What was asked for.
        on_transfer: Told how far downloading, checking and converting of weights are.
        kind: What the work is.
        may_fetch: Download weights that are not here. Where it is off the model comes without
            them, to plan with.

    Raises:
        OptionError: A name is not known, or the model is made for other work.
        DeviceError: The device is not on this machine.
        CheckpointError: The weights are missing or do not fit.
    """
    device = choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    cache = Cache.default()
    name, reason = _choose_name(options, device, CATALOG, cache, on_transfer, may_fetch=may_fetch)
    check_kind(name, kind)
    missing = "" if may_fetch or options.weights else describe_missing(name, CATALOG, cache)
    if missing:
        backbone = outline_backbone(name, dtype, options.chunking)
    else:
        backbone = load_backbone(
            name,
            device,
            dtype,
            weights=options.weights,
            cache=cache,
            on_transfer=on_transfer,
            chunking=options.chunking,
            attention=options.attention,
        )
    check_kind(backbone.name, kind)  # where a path was given
    if options.memory is not None:
        backbone.bound_memory()
    loaded = LoadedBackbone(
        backbone=backbone,
        device=device,
        dtype=dtype,
        reason=reason,
        options=options,
        missing=missing,
    )
    logger.info(
        "Computing on %s in %s.%s",
        describe_device(device),
        loaded.dtype_name,
        " There is no graphics card; that is slower, but the bundled model is made for it."
        if options.device == "auto" and device.type == "cpu"
        else "",
    )
    return loaded


def check_kind(name: str, kind: Kind) -> None:
    """Raise `OptionError` where a backbone is known to be made for other work."""
    spec = find_backbone(name)
    if spec is None or spec.kind == kind:
        return
    if kind == "tokens":
        raise OptionError(
            f"The model {name} makes no tokens: tokenize takes {', '.join(names('tokens'))}."
        )
    if spec.kind == "style":
        raise OptionError(f"The model {name} restyles and restores nothing: use refvid stylize.")
    if spec.kind == "tokens":
        raise OptionError(f"The model {name} makes tokens: use refvid tokenize.")
    raise OptionError(
        f"The model {name} restores and restyles nothing: stylize takes {MINI_STYLE}."
    )


def _choose_name(
    options: ModelOptions,
    device: torch.device,
    catalog: Catalog,
    cache: Cache,
    on_transfer: TransferCallback,
    *,
    may_fetch: bool = True,
) -> tuple[str, str]:
    """A model's name or path, and why: no network unless there is a graphics card to use it."""
    if options.model != "auto":
        reason = "as asked" if options.weights is None else f"as asked, with {options.weights}"
        return options.model, reason
    if options.weights is not None:
        return identify(options.weights), f"the one that {options.weights} is for"
    if device.type == "cpu":
        why = "no graphics card" if options.device == "auto" else "no graphics card in use"
        return MINI, f"the bundled model ({why})"
    if WAN not in catalog:
        return MINI, "the bundled model"
    from refvid.checkpoints.download import fetch  # noqa: PLC0415 -- the hub's client is slow

    entry = catalog.get(WAN)
    is_here = locate(entry) is not None
    if not is_here and entry.needs_acceptance:
        return MINI, f"the bundled model ({WAN} has terms to accept: refvid models download)"
    if not is_here and not may_fetch:
        return WAN, "there is a graphics card, and its weights would be fetched"
    try:
        fetch(entry, cache, on_transfer)
    except CheckpointUnavailable as error:
        logger.warning("%s", error)
        return MINI, f"the bundled model ({WAN} could not be fetched)"
    had = "its weights are at hand" if is_here else "its weights were fetched"
    return WAN, f"there is a graphics card, and {had}"
