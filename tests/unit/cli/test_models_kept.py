"""One model is kept from job to job; what fitted into memory is known of all."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

from refvid.cli.console import Console
from refvid.cli.task import Models
from refvid.rebuild.chunks import ChunkLengths
from refvid.rebuild.memory import Budget


def load(name: str, _on_transfer: object) -> Any:
    return SimpleNamespace(name=name, reason="a test", fitted={})


def test_what_fitted_is_known_when_a_model_comes_back() -> None:
    models = Models(Console())
    smaller = Budget(ChunkLengths(first=5, following=4), tile=None)
    models.load(partial(load, "one")).fitted[480, 832] = smaller
    assert models.load(partial(load, "other")).fitted == {}
    assert models.load(partial(load, "one")).fitted == {(480, 832): smaller}
