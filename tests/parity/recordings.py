"""Recorded outputs of the published code, and how ours are compared with them.

Those of a few small cases lie in `data`; all of them, of large networks too, lie beside the project
on some machines (REFVID_SHARED).
"""

from __future__ import annotations

import importlib.util
import json
import os
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

PROJECT = Path(__file__).resolve().parents[2]
OWN = Path(__file__).parent / "data"
ALL = Path(os.environ.get("REFVID_SHARED", PROJECT.parent / "shared")) / "golden"

Network = TypeVar("Network", bound=nn.Module)


class Recordings:
    """One backbone's, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tensors = cache(self._tensors)
        self.skip_if_missing = pytest.mark.skipif(
            not (folder / "golden.json").is_file(),
            reason="the whole recording of the published code is not beside the project",
        )

    @property
    def golden(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads((self.folder / "golden.json").read_text("utf-8"))
        return result

    def cases(self, kind: str) -> dict[str, Any]:
        result: dict[str, Any] = self.golden["configs"][kind]["cases"]
        return result

    def sizes(self, kind: str) -> dict[str, Any]:
        result: dict[str, Any] = self.golden["configs"][kind]["config"]
        return result

    def _tensors(self, name: str) -> dict[str, Tensor]:
        return load_file(self.folder / f"{name}.safetensors")

    def given(self, name: str) -> Tensor:
        return self.tensors("inputs")[name].float()

    def fill(self, kind: str, network: Network, parts: tuple[str, ...] = ("",)) -> Network:
        """Give a network without memory the weights of a kind, strictly.

        Args:
            kind: As in the recordings.
            network: On the meta device.
            parts: Beginnings of the keys that count; the others are of losses.
        """
        keys = self.golden["configs"][kind].get("keys")
        if keys is not None:
            expected = {
                key: tuple(entry["shape"]) for key, entry in keys.items() if key.startswith(parts)
            }
            own = {key: tuple(value.shape) for key, value in network.state_dict().items()}
            assert own == expected
        if (self.folder / f"{kind}_weights.safetensors").is_file():
            weights = {k: value.float() for k, value in self.tensors(f"{kind}_weights").items()}
        else:
            weight = self._recipe()
            weights = {key: torch.from_numpy(weight(key, shape)) for key, shape in expected.items()}
        network.load_state_dict(weights, assign=True, strict=True)
        return network.eval().requires_grad_(False)

    def _recipe(self) -> Any:
        """What makes weights that are too large to be stored."""
        path = self.folder.parent / "recipe.py"
        spec = importlib.util.spec_from_file_location("recipe", path)
        assert spec is not None
        assert spec.loader is not None
        recipe = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(recipe)
        return recipe.weight

    def compare(self, kind: str, ours: dict[str, Tensor], *, frames: int | None = None) -> None:
        """Hold outputs by their recorded names against the recorded tolerance.

        Args:
            kind: As in the recordings.
            ours: Outputs.
            frames: So many of the recorded frames; None: all.
        """
        recommended = self.golden["tolerance"]["recommended"]
        tolerance = recommended.get(kind, recommended)
        for key, value in ours.items():
            theirs = self.tensors(f"{kind}_outputs")[key][:, :, :frames]
            assert value.shape == theirs.shape, key
            difference = (value - theirs).abs()
            assert difference.max() <= tolerance["max_abs"], key
            assert difference.mean() <= tolerance["mean_abs"], key
