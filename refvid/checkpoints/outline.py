"""Models whose weights are not here: what would be fetched, and enough of them to plan with."""

from __future__ import annotations

import torch

from refvid.checkpoints.cache import Cache
from refvid.checkpoints.catalog import Catalog
from refvid.checkpoints.hub_cache import locate
from refvid.checkpoints.licence import check_licence
from refvid.models.backbone import Backbone
from refvid.models.registry import Chunking, find_backbone


def describe_missing(name: str, catalog: Catalog, cache: Cache) -> str:
    """Say what of a model would have to be fetched; empty where nothing would.

    Raises:
        LicenceNotAccepted: Its licence stands in the way.
    """
    if name not in catalog:
        return ""
    missing = [entry for entry in catalog.layers(name) if locate(entry) is None]
    for entry in missing:
        check_licence(entry, cache, name)
    if not missing:
        return ""
    sizes = [entry.size for entry in missing]
    known = sum(size for size in sizes if size is not None)
    amount = f", {known / 2**30:.1f} GiB," if None not in sizes else ""
    return f"the weights of {name}{amount} are not here: refvid models download {name}"


def outline_backbone(name: str, dtype: torch.dtype, chunking: Chunking) -> Backbone:
    """Make a published backbone without weights: its limits and its need of memory."""
    spec = find_backbone(name)
    assert spec is not None, "a catalogue names no other"
    parts = spec.parts()
    nowhere = torch.device("meta")
    with nowhere:
        network = parts.network(parts.sizes())
    backbone: Backbone = parts.backbone(network, parts.sizes(), nowhere, dtype, chunking)
    return backbone
