"""Checkpoint -> ready backbone, strictly: every key and every shape must be the network's."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from refvid.checkpoints.bundled import CONFIG_KEY, bundled_file, load_own_network
from refvid.checkpoints.cache import Cache
from refvid.checkpoints.catalog import CATALOG, Catalog, CatalogEntry
from refvid.checkpoints.convert import (
    NetworkKeys,
    detect_kind,
    read_metadata,
    read_shapes,
    read_weights,
    ready_weights,
)
from refvid.checkpoints.fill import Placement, fill_network
from refvid.checkpoints.sizes import build_empty, parse_sizes
from refvid.checkpoints.state_dict import clean_key
from refvid.checkpoints.weight_files import weight_files, weights_in
from refvid.documents import shown
from refvid.errors import CheckpointMismatch, CheckpointUnavailable, OptionError
from refvid.media.folders import is_file, is_folder
from refvid.models.backbone import Backbone
from refvid.models.registry import (
    MINI,
    WAN,
    BackboneSpec,
    Chunking,
    backbones,
    find_backbone,
    names,
)
from refvid.progress import TransferCallback, ignore_transfer

logger = logging.getLogger(__name__)

_SIZES_KEY = "network"
"""Metadata entry with the sizes of a large backbone; published files have none."""


def load_backbone(
    name_or_path: str | Path,
    device: torch.device,
    dtype: torch.dtype,
    *,
    weights: Path | None = None,
    catalog: Catalog = CATALOG,
    cache: Cache | None = None,
    on_transfer: TransferCallback = ignore_transfer,
    sizes: Any = None,
    chunking: Chunking = "carry",
    attention: bool = True,
) -> Backbone:
    """Load a backbone by name or from a file.

    Args:
        name_or_path: The name of a backbone or of an entry of the catalogue, or the path of a
            weights file or of a folder that holds one.
        device: Where it computes.
        dtype: Precision it computes in.
        weights: A file with weights for the backbone of that name, instead of its own.
        catalog: What can be downloaded.
        cache: Where conversions are kept; None is the user's.
        on_transfer: Told how far downloading, checking and converting are.
        sizes: Of the network of a published file; None is what the file says, else the usual ones.
        chunking: "independent" decodes every chunk alone, as the published scripts do.
        attention: False gives the plain decoder, where there is one, and leaves the weights of
            the reference attention on the disk.

    Raises:
        OptionError: Weights are given for a path or are another model's, or independent chunks are
            asked of a model that has none.
        LicenceNotAccepted: The weights must be fetched, and their licence was never accepted.
        CheckpointUnavailable: There is no such file, and it cannot be fetched.
        CheckpointMismatch: The file is no checkpoint of a network that refvid knows.
    """
    cache = cache or Cache.default()
    name = str(name_or_path)
    _check_name(name, catalog, has_weights=weights is not None)

    def load(path: Path, backbone: str, base: CatalogEntry | None = None) -> Backbone:
        spec = find_backbone(backbone)
        if spec is None:
            raise CheckpointMismatch(
                f"{path} is for the backbone {shown(backbone)}, which this version does not know. "
                "A newer refvid may load it."
            )
        _check_chunking(spec, chunking)
        parts = spec.parts()
        if spec.is_converted:
            own = sizes or _read_sizes(path, parts.sizes)
            base = base or _base_of(backbone, catalog)
            network = load_published_network(
                spec,
                path,
                own,
                base,
                cache,
                on_transfer,
                placement=Placement(device, dtype, parts.float32_keys),
                leave_out=() if attention else parts.attention_keys,
            )
        else:
            network, own = load_own_network(path, parts)
        made: Backbone = parts.backbone(network, own, device, dtype, chunking)
        return made if attention else made.plain() or made

    if name in catalog:
        from refvid.checkpoints.download import fetch  # noqa: PLC0415 -- the hub's client is slow

        *below, entry = catalog.layers(name)
        base = below[-1] if below else None
        # The base first: nothing is fetched for a model that cannot be had whole.
        if base is not None and weights is None:
            fetch(base, cache, on_transfer, model=name)
        path = fetch(entry, cache, on_transfer) if weights is None else _file(weights)
        return load(path, entry.backbone, base)
    spec = find_backbone(name)
    if spec is None:
        path = _file(Path(name_or_path))
        return load(path, identify(path))
    _check_chunking(spec, chunking)
    if weights is not None:
        path = _file(weights)
        _check_made_for(spec, path)
        return load(path, name)
    if spec.bundled is None:
        raise CheckpointUnavailable(
            f"{name} has no weights of its own: give a file with --weights."
        )
    with bundled_file(spec) as path:
        return load(path, name)


def _check_name(name: str, catalog: Catalog, *, has_weights: bool) -> None:
    if has_weights and find_backbone(name) is None and name not in catalog.models:
        models = dict.fromkeys((*names("restore"), *catalog.models))
        raise OptionError(
            f"--weights goes with the name of a model ({', '.join(models)}), "
            f"not with --model {name}."
        )
    if name in catalog and name not in catalog.models:
        above = ", ".join(entry.name for entry in catalog if entry.base == name)
        raise OptionError(f"{name} is no model of its own, but what {above} is built on.")


def _check_chunking(spec: BackboneSpec, chunking: Chunking) -> None:
    if chunking == "independent" and spec.joins_by is None:
        others = " and ".join(other.name for other in backbones() if other.joins_by is not None)
        raise OptionError(
            f"--chunking independent is for {others}: {spec.name} always carries state."
        )


def _check_made_for(spec: BackboneSpec, path: Path) -> None:
    """Raise `OptionError` where weights for restoring are given for styles, or the reverse."""
    found = identify(path)
    other = find_backbone(found)
    # Without metadata the file is damaged or foreign: loading it says so.
    is_known = found != MINI or bool(read_metadata(path))
    kinds = (spec.kind, other.kind if other else None)
    if found != spec.name and "style" in kinds and is_known:
        raise OptionError(f"{path} holds weights of {found}, not of {spec.name}.")


def identify(path: Path) -> str:
    """Name of the backbone that a weights file is for, by its contents.

    Raises:
        CheckpointUnavailable: The file cannot be read.
        CheckpointMismatch: It is no weights file.
    """
    path = _file(path)
    if detect_kind(path) == "torch":
        # refvid's own files never have that format.
        return _owner_of(read_weights(path)) or WAN
    metadata = read_metadata(path)
    if "backbone" in metadata:
        return metadata["backbone"]
    if CONFIG_KEY in metadata:
        return MINI
    try:
        keys = [clean_key(key) for file in weight_files(path) for key in read_shapes(file)]
        return _owner_of(keys) or MINI
    except (SafetensorError, OSError):
        return MINI


def _owner_of(keys: Iterable[str]) -> str | None:
    """Name of the backbone that a published file's cleaned keys are of."""
    keys = tuple(keys)
    for spec in reversed(backbones()):
        if spec.own_keys and any(key.startswith(spec.own_keys) for key in keys):
            return spec.name
    return None


def load_published_network(
    spec: BackboneSpec,
    path: Path,
    sizes: Any,
    base: Path | CatalogEntry | None = None,
    cache: Cache | None = None,
    on_transfer: TransferCallback = ignore_transfer,
    *,
    placement: Placement | None = None,
    leave_out: tuple[str, ...] = (),
) -> nn.Module:
    """Build the network without memory of its own: it uses that of the mapped file.

    Args:
        spec: Whose network.
        path: A published file in any of its layouts, or one that refvid has converted.
        sizes: Of the network; the files together must have exactly these.
        base: Weights that lie under the file's; fetched only where it is not whole without them.
        cache: Where the conversion is kept; None is the user's.
        on_transfer: Told how far fetching, checking and converting are.
        placement: Another precision or device, which takes memory; None leaves all in the file.
        leave_out: Beginnings of keys that stay without weights, as nobody will use them.

    Raises:
        LicenceNotAccepted: The base must be fetched, and its licence was never accepted.
        CheckpointUnavailable: A file cannot be had or read, or there is no room.
        CheckpointMismatch: Together they hold other weights than the network's.
    """
    cache = cache or Cache.default()
    network = build_empty(path, spec.parts(), sizes)
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    keys = NetworkKeys(
        backbone=spec.name, shapes=shapes, blocks=getattr(sizes, "transformer_blocks", 0)
    )
    below: Path | None = None
    if base is not None and not keys.shapes.keys() <= read_weights(path).keys():
        from refvid.checkpoints.download import fetch  # noqa: PLC0415 -- the hub's client is slow

        below = base if isinstance(base, Path) else fetch(base, cache, on_transfer, model=spec.name)
    ready = ready_weights(path, keys, cache, on_transfer, base=below)
    try:
        fill_network(network, ready, placement, leave_out=leave_out)
    except CheckpointMismatch as error:
        if ready == path:
            raise
        # A conversion can be made again: a byte on the disk should cost nobody a download.
        logger.warning("%s It is made again from %s.", error, path)
        ready.unlink(missing_ok=True)
        ready = ready_weights(path, keys, cache, on_transfer, base=below)
        fill_network(network, ready, placement, leave_out=leave_out)
    return network


def _base_of(backbone: str, catalog: Catalog) -> CatalogEntry | None:
    """What lies under the weights of a file that was given by its path."""
    for entry in catalog:
        if entry.backbone == backbone and entry.base is not None:
            return catalog.get(entry.base)
    return None


def _file(path: Path) -> Path:
    if is_folder(path):
        return weights_in(path)
    if is_file(path):
        return path
    raise CheckpointUnavailable(
        f"There is no model {path}: --model takes auto, {', '.join(names('restore'))}, or the path "
        "of a weights file or of a folder that holds one."
    )


def _read_sizes(path: Path, kind: type[Any]) -> Any:
    """Sizes that `refvid train` stored beside the weights; the default ones where it did not."""
    text = read_metadata(path).get(_SIZES_KEY)
    return kind() if text is None else parse_sizes(path, text, kind)
