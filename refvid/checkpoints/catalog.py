"""What can be downloaded, and the weights files that are installed along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from refvid.documents import shown
from refvid.errors import CheckpointUnavailable
from refvid.models.registry import CatalogEntry, backbones, find_backbone

__all__ = ["CATALOG", "Catalog", "CatalogEntry", "bundled_asset"]


def bundled_asset(name: str) -> Traversable:
    """The weights file of a bundled backbone, which this installation may lack."""
    spec = find_backbone(name)
    assert spec is not None, "a bundled one is registered"
    assert spec.bundled is not None, "it is bundled"
    package, file = spec.bundled
    return resources.files(package) / file


@dataclass(frozen=True, slots=True)
class Catalog:
    """Entries by name."""

    given: tuple[CatalogEntry, ...] | None = None
    """None: those of all registered backbones."""

    @property
    def entries(self) -> tuple[CatalogEntry, ...]:
        if self.given is not None:
            return self.given
        return tuple(entry for spec in backbones() for entry in spec.files)

    def __iter__(self) -> Iterator[CatalogEntry]:
        return iter(self.entries)

    def __contains__(self, name: object) -> bool:
        return any(entry.name == name for entry in self.entries)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.entries)

    @property
    def models(self) -> tuple[str, ...]:
        """Names that `--model` takes: what only lies under other entries is none."""
        bases = {entry.base for entry in self.entries}
        return tuple(name for name in self.names if name not in bases)

    def layers(self, name: str) -> tuple[CatalogEntry, ...]:
        """The entries that a model is made of, the lowest first.

        Raises:
            CheckpointUnavailable: There is no such model.
        """
        entry = self.get(name)
        return (entry,) if entry.base is None else (*self.layers(entry.base), entry)

    def get(self, name: str) -> CatalogEntry:
        """The entry of that name.

        Raises:
            CheckpointUnavailable: There is none.
        """
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise CheckpointUnavailable(
            f"There is no model {shown(name)} to download; there is: "
            f"{', '.join(self.names) or 'none'}."
        )


CATALOG = Catalog()
"""The published checkpoints that this version can load."""
