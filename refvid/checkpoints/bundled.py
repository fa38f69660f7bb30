"""The small models, which ship with the program: a file holds weights, and the sizes as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from refvid.checkpoints.catalog import STYLE, bundled_asset
from refvid.checkpoints.state_dict import compare_keys
from refvid.errors import CheckpointMismatch, CheckpointUnavailable
from refvid.models.backbone import Backbone
from refvid.models.mini.autoencoder import MiniBackbone
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder
from refvid.models.mini_style.autoencoder import MiniStyleBackbone
from refvid.models.mini_style.config import MiniStyleConfig
from refvid.models.mini_style.decoder import MiniStyleDecoder

CONFIG_KEY = "config"
"""Metadata entry with the network's sizes as JSON."""

_Config = TypeVar("_Config", MiniConfig, MiniStyleConfig)
_Network = TypeVar("_Network", bound=nn.Module)


def bundled_file(name: str) -> AbstractContextManager[Path]:
    """Path of a bundled model's weights while they are in use.

    Raises:
        CheckpointUnavailable: This installation lacks them.
    """
    asset = bundled_asset(name)
    if not asset.is_file():
        option = "--weights" if name == STYLE else "--model"
        raise CheckpointUnavailable(
            f"The bundled weights of {name} are missing from this installation: reinstall refvid, "
            f"or give the path of a weights file with {option}."
        )
    return resources.as_file(asset)


def load_bundled_kind(name: str, path: Path, device: torch.device, dtype: torch.dtype) -> Backbone:
    """Load one of the small models from its file.

    Raises:
        CheckpointUnavailable: The file cannot be read.
        CheckpointMismatch: It is damaged, or holds other weights than the network's.
    """
    if name == STYLE:
        style, weights = _read_weights(path, MiniStyleConfig)
        painter = _fill(path, lambda: MiniStyleDecoder(style), weights)
        return MiniStyleBackbone(painter, style, device, dtype)
    config, weights = _read_weights(path, MiniConfig)
    decoder = _fill(path, lambda: MiniDecoder(config), weights)
    return MiniBackbone(decoder, config, device, dtype)


def _fill(path: Path, make: Callable[[], _Network], weights: Mapping[str, Tensor]) -> _Network:
    """Make a network and give it a file's weights."""
    try:
        network = make()
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointMismatch(f"{path} describes an impossible network: {error}.") from error
    _check_keys(path, network.state_dict(), weights)
    network.load_state_dict(weights)
    return network


def _read_weights(path: Path, kind: type[_Config]) -> tuple[_Config, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            config = _parse_config(path, (file.metadata() or {}).get(CONFIG_KEY), kind)
            return config, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointMismatch(
            f"{path} is no whole safetensors file ({error}). Fetch it again."
        ) from error
    except OSError as error:
        raise CheckpointUnavailable(f"Cannot read {path}: {error.strerror or error}.") from error


def _parse_config(path: Path, text: str | None, kind: type[_Config]) -> _Config:
    if text is None:
        raise CheckpointMismatch(
            f"{path} has no {CONFIG_KEY!r} in its metadata: refvid did not write these weights."
        )
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise CheckpointMismatch(f"{path}: its {CONFIG_KEY!r} is no JSON ({error}).") from error
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(values) - known) if isinstance(values, dict) else ["(no object)"]
    if unknown:
        raise CheckpointMismatch(
            f"{path} describes a network that this version does not know ({', '.join(unknown)}). "
            "A newer refvid may load it."
        )
    return kind(**{key: freeze(value) for key, value in values.items()})


def freeze(value: Any) -> Any:
    """JSON has lists where the config has tuples."""
    return tuple(value) if isinstance(value, list) else value


def _check_keys(path: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    differences = compare_keys(
        {key: tuple(tensor.shape) for key, tensor in expected.items()},
        {key: tuple(tensor.shape) for key, tensor in found.items()},
    )
    if differences:
        raise CheckpointMismatch(
            f"The weights in {path} do not fit the network: {differences.describe()}."
        )
