"""refvid's own files, as the small backbones have them: weights, and their sizes as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from refvid.checkpoints.catalog import bundled_asset
from refvid.checkpoints.checksums import check_weight, read_checksums
from refvid.checkpoints.sizes import build_empty, parse_sizes
from refvid.checkpoints.state_dict import check_numbers, compare_keys
from refvid.errors import CheckpointMismatch, CheckpointUnavailable
from refvid.models.registry import BackboneSpec, Parts
from refvid.safetensors_file import open_safetensors

CONFIG_KEY = "config"
"""Metadata entry with the network's sizes as JSON."""


def bundled_file(spec: BackboneSpec) -> AbstractContextManager[Path]:
    """Path of a bundled model's weights while they are in use.

    Raises:
        CheckpointUnavailable: This installation lacks them.
    """
    asset = bundled_asset(spec.name)
    if not asset.is_file():
        option = "--weights" if spec.kind == "style" else "--model"
        raise CheckpointUnavailable(
            f"The bundled weights of {spec.name} are missing from this installation: reinstall "
            f"refvid, or give the path of a weights file with {option}."
        )
    return resources.as_file(asset)


def load_own_network(path: Path, parts: Parts) -> tuple[nn.Module, Any]:
    """Make a network of a file of refvid's own: the network, and its sizes.

    Raises:
        CheckpointUnavailable: The file cannot be read.
        CheckpointMismatch: It is damaged, or holds other weights than the network's.
    """
    sizes, weights = _read_weights(path, parts.sizes)
    # Before the network takes memory: the sizes are the file's word only.
    _check_keys(path, build_empty(path, parts, sizes).state_dict(), weights)
    try:
        check_numbers(weights)  # those that were written as NaN are not found by their sums
    except ValueError as error:
        raise CheckpointMismatch(f"The weights in {path} cannot be used: {error}.") from error
    network = parts.network(sizes)
    network.load_state_dict(weights)
    return network, sizes


def _read_weights(path: Path, kind: type[Any]) -> tuple[Any, dict[str, Tensor]]:
    try:
        with open_safetensors(path) as file:
            metadata = file.metadata() or {}
            text = metadata.get(CONFIG_KEY)
            if text is None:
                raise CheckpointMismatch(
                    f"{path} has no {CONFIG_KEY!r} in its metadata: refvid did not write these "
                    "weights."
                )
            config = parse_sizes(path, text, kind)
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            sums = read_checksums(metadata)
            for key, weight in weights.items():
                check_weight(path, key, weight, sums)
            return config, weights
    except SafetensorError as error:
        raise CheckpointMismatch(
            f"{path} is no whole safetensors file ({error}). Fetch it again."
        ) from error
    except OSError as error:
        raise CheckpointUnavailable(f"Cannot read {path}: {error.strerror or error}.") from error


def _check_keys(path: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    differences = compare_keys(
        {key: tuple(tensor.shape) for key, tensor in expected.items()},
        {key: tuple(tensor.shape) for key, tensor in found.items()},
    )
    if differences:
        raise CheckpointMismatch(
            f"The weights in {path} do not fit the network: {differences.describe()}."
        )
