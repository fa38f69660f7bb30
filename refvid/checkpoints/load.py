"""Checkpoint -> ready backbone, strictly: every key and every shape must be the network's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from refvid.checkpoints.bundled import CONFIG_KEY, bundled_file, freeze, load_bundled_kind
from refvid.checkpoints.cache import Cache
from refvid.checkpoints.catalog import (
    BUNDLED,
    BUNDLED_NAMES,
    CATALOG,
    STYLE,
    Catalog,
    CatalogEntry,
)
from refvid.checkpoints.convert import (
    NetworkKeys,
    detect_kind,
    read_metadata,
    read_shapes,
    read_weights,
    ready_weights,
)
from refvid.checkpoints.download import fetch
from refvid.checkpoints.state_dict import clean_key
from refvid.checkpoints.transfer import TransferCallback, ignore_transfer
from refvid.errors import CheckpointMismatch, CheckpointUnavailable, OptionError
from refvid.models.backbone import Backbone
from refvid.models.videovaeplus.autoencoder import (
    VideoVaePlusAutoencoder,
    VideoVaePlusBackbone,
)
from refvid.models.videovaeplus.config import VideoVaePlusConfig
from refvid.models.wan.autoencoder import Chunking, WanAutoencoder, WanBackbone
from refvid.models.wan.config import WanConfig

WAN = "wan2.1"
"""Name of the Wan 2.1 backbone."""

VIDEOVAE_PLUS = "videovae+"
"""Name of the VideoVAE+ backbone."""

_SIZES_KEY = "network"
"""Metadata entry with the sizes of a large backbone; published files have none."""

_SUFFIX = ".safetensors"
_SHOWN_FILES = 3
_Sizes = TypeVar("_Sizes", WanConfig, VideoVaePlusConfig)


def load_backbone(
    name_or_path: str | Path,
    device: torch.device,
    dtype: torch.dtype,
    *,
    weights: Path | None = None,
    catalog: Catalog = CATALOG,
    cache: Cache | None = None,
    on_transfer: TransferCallback = ignore_transfer,
    wan_config: WanConfig | None = None,
    videovae_plus_config: VideoVaePlusConfig | None = None,
    chunking: Chunking = "carry",
) -> Backbone:
    """Load a backbone by name or from a file.

    Args:
        name_or_path: `mini` or `mini-style` for bundled weights, a name of the catalogue, or the
            path of a weights file or of a folder that holds one.
        device: Where it computes.
        dtype: Precision it computes in.
        weights: A file with weights for the backbone of that name, instead of its own.
        catalog: What can be downloaded.
        cache: Where conversions are kept; None is the user's.
        on_transfer: Told how far downloading, checking and converting are.
        wan_config: Sizes of the Wan network; None is what the file says, else the published ones.
        videovae_plus_config: Sizes of the VideoVAE+ network; None is what the file says, else the
            published ones.
        chunking: "independent" decodes every chunk alone, as the published scripts do.

    Raises:
        OptionError: Weights are given for a path or are another model's, or independent chunks are
            asked of a model that has none.
        LicenceNotAccepted: The weights must be fetched, and their licence was never accepted.
        CheckpointUnavailable: There is no such file, and it cannot be fetched.
        CheckpointMismatch: The file is no checkpoint of a network that refvid knows.
    """
    cache = cache or Cache.default()
    name = str(name_or_path)
    if weights is not None and name not in (*BUNDLED_NAMES, *catalog.models):
        raise OptionError(
            f"--weights goes with the name of a model ({', '.join([BUNDLED, *catalog.models])}), "
            f"not with --model {name}."
        )
    if name in catalog and name not in catalog.models:
        raise OptionError(f"{name} is no model of its own, but what another one is built on.")
    if name in BUNDLED_NAMES:
        _refuse_independent(name, chunking)
        if weights is None:
            with bundled_file(name) as path:
                return load_bundled_kind(name, path, device, dtype)
        path = _file(weights)
        _check_made_for(name, path)
        return load_bundled_kind(name, path, device, dtype)
    base: CatalogEntry | None = None
    if name in catalog:
        *below, entry = catalog.layers(name)
        base = below[-1] if below else None
        # The base first: nothing is fetched for a model that cannot be had whole.
        if base is not None and weights is None:
            fetch(base, cache, on_transfer)
        path = fetch(entry, cache, on_transfer) if weights is None else _file(weights)
        backbone = entry.backbone
    else:
        path = _file(Path(name_or_path))
        backbone = identify(path)
    if backbone in BUNDLED_NAMES:
        _refuse_independent(backbone, chunking)
        return load_bundled_kind(backbone, path, device, dtype)
    if backbone == WAN:
        sizes = wan_config or _read_sizes(path, WanConfig)
        network = load_wan_autoencoder(path, sizes, cache, on_transfer)
        return WanBackbone(network, device, dtype, chunking=chunking)
    if backbone == VIDEOVAE_PLUS:
        base = base or _base_of(VIDEOVAE_PLUS, catalog)
        autoencoder = load_videovae_plus_autoencoder(
            path,
            videovae_plus_config or _read_sizes(path, VideoVaePlusConfig),
            base,
            cache,
            on_transfer,
        )
        return VideoVaePlusBackbone(autoencoder, device, dtype, overlapping=chunking == "carry")
    raise CheckpointMismatch(
        f"{path} is for the backbone {backbone!r}, which this version does not know. "
        "A newer refvid may load it."
    )


def _refuse_independent(name: str, chunking: Chunking) -> None:
    if chunking == "independent":
        raise OptionError(
            f"--chunking independent is for {WAN} and {VIDEOVAE_PLUS}: {name} always carries state."
        )


def _check_made_for(name: str, path: Path) -> None:
    """Raise `OptionError` where weights for restoring are given for styles, or the reverse."""
    found = identify(path)
    # Without metadata the file is damaged or foreign: loading it says so.
    if found != name and STYLE in (found, name) and (found != BUNDLED or read_metadata(path)):
        raise OptionError(f"{path} holds weights of {found}, not of {name}.")


def identify(path: Path) -> str:
    """Name of the backbone that a weights file is for, by its contents.

    Raises:
        CheckpointUnavailable: The file cannot be read.
        CheckpointMismatch: It is no weights file.
    """
    if detect_kind(path) == "torch":
        # Only these two are published in that format.
        return VIDEOVAE_PLUS if _is_videovae_plus(read_weights(path)) else WAN
    metadata = read_metadata(path)
    if "backbone" in metadata:
        return metadata["backbone"]
    if CONFIG_KEY in metadata:
        return BUNDLED
    try:
        keys = [clean_key(key) for key in read_shapes(path)]
    except (SafetensorError, OSError):
        return BUNDLED
    if _is_videovae_plus(keys):
        return VIDEOVAE_PLUS
    return WAN if any(key.startswith(("ae.", "transformer.")) for key in keys) else BUNDLED


def load_wan_autoencoder(
    path: Path,
    config: WanConfig,
    cache: Cache | None = None,
    on_transfer: TransferCallback = ignore_transfer,
) -> WanAutoencoder:
    """Build the network without memory of its own: it uses that of the mapped file.

    Args:
        path: An official file in any of its layouts, or one that refvid has converted.
        config: Sizes of the network; the file must have exactly these.
        cache: Where the conversion is kept; None is the user's.
        on_transfer: Told how far checking and converting are.

    Raises:
        CheckpointUnavailable: The file cannot be read, or there is no room for its conversion.
        CheckpointMismatch: It holds other weights than the network's.
    """
    with torch.device("meta"):
        network = WanAutoencoder(config)
    keys = _keys_of(network, WAN, config.transformer_blocks)
    ready = ready_weights(path, keys, cache or Cache.default(), on_transfer)
    network.load_state_dict(load_file(ready), strict=True, assign=True)
    return network


def load_videovae_plus_autoencoder(
    path: Path,
    config: VideoVaePlusConfig,
    base: Path | CatalogEntry | None = None,
    cache: Cache | None = None,
    on_transfer: TransferCallback = ignore_transfer,
) -> VideoVaePlusAutoencoder:
    """Build the network without memory of its own: it uses that of the mapped file.

    Args:
        path: RefDecoder's file in any of its layouts, or one that refvid has converted.
        config: Sizes of the network; the files together must have exactly these.
        base: VideoVAE+'s own weights, which lie under the file's; fetched only where the file is
            not whole without them.
        cache: Where the conversion is kept; None is the user's.
        on_transfer: Told how far fetching, checking and converting are.

    Raises:
        LicenceNotAccepted: The base must be fetched, and its licence was never accepted.
        CheckpointUnavailable: A file cannot be had or read, or there is no room.
        CheckpointMismatch: Together they hold other weights than the network's.
    """
    cache = cache or Cache.default()
    with torch.device("meta"):
        network = VideoVaePlusAutoencoder(config)
    keys = _keys_of(network, VIDEOVAE_PLUS, config.transformer_blocks)
    if base is not None and not _has_all(path, keys):
        below = base if isinstance(base, Path) else fetch(base, cache, on_transfer)
    else:
        below = None
    ready = ready_weights(path, keys, cache, on_transfer, base=below)
    network.load_state_dict(load_file(ready), strict=True, assign=True)
    return network


def _keys_of(network: nn.Module, backbone: str, blocks: int) -> NetworkKeys:
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    return NetworkKeys(backbone=backbone, shapes=shapes, blocks=blocks)


def _has_all(path: Path, keys: NetworkKeys) -> bool:
    """Whether a file needs nothing under it."""
    return keys.shapes.keys() <= read_weights(path).keys()


def _base_of(backbone: str, catalog: Catalog) -> CatalogEntry | None:
    """What lies under the weights of a file that was given by its path."""
    for entry in catalog:
        if entry.backbone == backbone and entry.base is not None:
            return catalog.get(entry.base)
    return None


def _is_videovae_plus(keys: Iterable[str]) -> bool:
    """Its keys have no prefix; each of its files has some of these."""
    own = ("encoder_temporal.", "decoder_temporal.", "decoder.pre_transformer_norms.")
    return any(key.startswith(own) for key in keys)


def _file(path: Path) -> Path:
    if path.is_dir():
        return _only_weights_in(path)
    if path.is_file():
        return path
    raise CheckpointUnavailable(
        f"There is no model {path}: --model takes auto, {BUNDLED}, {WAN}, {VIDEOVAE_PLUS}, or the "
        "path of a weights file or of a folder that holds one."
    )


def _only_weights_in(folder: Path) -> Path:
    files = sorted(folder.glob(f"*{_SUFFIX}"))
    if len(files) == 1:
        return files[0]
    if not files:
        raise CheckpointUnavailable(f"The folder {folder} holds no {_SUFFIX} file.")
    names = ", ".join(file.name for file in files[:_SHOWN_FILES])
    raise CheckpointUnavailable(
        f"The folder {folder} holds {len(files)} weights files ({names}): give the path of one."
    )


def _read_sizes(path: Path, kind: type[_Sizes]) -> _Sizes:
    """Sizes that `refvid train` stored beside the weights; the default ones where it did not."""
    text = read_metadata(path).get(_SIZES_KEY)
    if text is None:
        return kind()
    try:
        return kind(**{key: freeze(value) for key, value in json.loads(text).items()})
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointMismatch(
            f"{path} describes a network that this version does not know ({error}). "
            "A newer refvid may load it."
        ) from error
