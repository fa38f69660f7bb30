"""Weights file -> ready backbone, strictly: every key and every shape must be the network's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from refvid.errors import CheckpointMismatch, CheckpointUnavailable
from refvid.models.backbone import Backbone
from refvid.models.mini.autoencoder import MiniBackbone
from refvid.models.mini.config import MiniConfig
from refvid.models.mini.decoder import MiniDecoder

BUNDLED = "mini"
"""Name of the model that ships with the program."""

_SUFFIX = ".safetensors"
_CONFIG_KEY = "config"
"""Metadata entry with the network's sizes as JSON."""

_SHOWN_KEYS = 3


def load_backbone(name_or_path: str | Path, device: torch.device, dtype: torch.dtype) -> Backbone:
    """Load a backbone by name or from a file.

    Args:
        name_or_path: `mini` for the bundled weights, or the path of a safetensors file or of a
            folder that holds one.
        device: Where it computes.
        dtype: Precision it computes in.

    Raises:
        CheckpointUnavailable: There is no such file.
        CheckpointMismatch: The file is no checkpoint of a network that refvid knows.
    """
    with _weights_file(name_or_path) as path:
        config, weights = _read_weights(path)
        try:
            decoder = MiniDecoder(config)
        except (TypeError, ValueError, RuntimeError) as error:
            raise CheckpointMismatch(f"{path} describes an impossible network: {error}.") from error
        _check_keys(path, decoder.state_dict(), weights)
        decoder.load_state_dict(weights)
    return MiniBackbone(decoder, config, device, dtype)


def has_bundled_weights() -> bool:
    """Whether this installation carries the bundled model."""
    return _bundled().is_file()


def _bundled() -> resources.abc.Traversable:
    return resources.files("refvid.assets") / f"{BUNDLED}{_SUFFIX}"


def _weights_file(name_or_path: str | Path) -> AbstractContextManager[Path]:
    path = Path(name_or_path)
    if str(name_or_path) == BUNDLED:
        if not has_bundled_weights():
            raise CheckpointUnavailable(
                "The bundled weights are missing from this installation: reinstall refvid, "
                "or give the path of a weights file with --model."
            )
        return resources.as_file(_bundled())
    if path.is_dir():
        return nullcontext(_only_weights_in(path))
    if path.is_file():
        return nullcontext(path)
    raise CheckpointUnavailable(
        f"There is no model {name_or_path!s}: --model takes auto, {BUNDLED}, or the path of a "
        f"{_SUFFIX} file or of a folder that holds one."
    )


def _only_weights_in(folder: Path) -> Path:
    files = sorted(folder.glob(f"*{_SUFFIX}"))
    if len(files) == 1:
        return files[0]
    if not files:
        raise CheckpointUnavailable(f"The folder {folder} holds no {_SUFFIX} file.")
    names = ", ".join(file.name for file in files[:_SHOWN_KEYS])
    raise CheckpointUnavailable(
        f"The folder {folder} holds {len(files)} weights files ({names}): give the path of one."
    )


def _read_weights(path: Path) -> tuple[MiniConfig, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            config = _parse_config(path, (file.metadata() or {}).get(_CONFIG_KEY))
            return config, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointMismatch(
            f"{path} is no whole safetensors file ({error}). Fetch it again."
        ) from error
    except OSError as error:
        raise CheckpointUnavailable(f"Cannot read {path}: {error.strerror or error}.") from error


def _parse_config(path: Path, text: str | None) -> MiniConfig:
    if text is None:
        raise CheckpointMismatch(
            f"{path} has no {_CONFIG_KEY!r} in its metadata: refvid did not write these weights."
        )
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise CheckpointMismatch(f"{path}: its {_CONFIG_KEY!r} is no JSON ({error}).") from error
    known = {field.name for field in fields(MiniConfig)}
    unknown = sorted(set(values) - known) if isinstance(values, dict) else ["(no object)"]
    if unknown:
        raise CheckpointMismatch(
            f"{path} describes a network that this version does not know ({', '.join(unknown)}). "
            "A newer refvid may load it."
        )
    return MiniConfig(**{key: _freeze(value) for key, value in values.items()})


def _freeze(value: Any) -> Any:
    """JSON has lists where the config has tuples."""
    return tuple(value) if isinstance(value, list) else value


def _check_keys(path: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    problems = {
        "missing": [key for key in expected if key not in found],
        "unexpected": [key for key in found if key not in expected],
        "of another shape": [
            f"{key} {tuple(found[key].shape)} instead of {tuple(expected[key].shape)}"
            for key in expected
            if key in found and found[key].shape != expected[key].shape
        ],
    }
    words = [
        f"{len(keys)} {problem} ({', '.join(keys[:_SHOWN_KEYS])}"
        f"{', ...' if len(keys) > _SHOWN_KEYS else ''})"
        for problem, keys in problems.items()
        if keys
    ]
    if words:
        raise CheckpointMismatch(
            f"The weights in {path} do not fit the network: {'; '.join(words)}."
        )
