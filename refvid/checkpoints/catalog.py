"""Known checkpoints: repository, file, pinned revision, size, SHA-256, backbone, licence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from refvid.errors import CheckpointUnavailable

BUNDLED = "mini"
"""Name of the model for restoring that ships with the program."""

STYLE = "mini-style"
"""Name of the model of `refvid stylize`, which ships with the program too."""

BUNDLED_NAMES = (BUNDLED, STYLE)


def bundled_asset(name: str) -> Traversable:
    """The weights file of a bundled model, which this installation may lack."""
    return resources.files("refvid.assets") / f"{name.replace('-', '_')}.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One file of a hub repository."""

    name: str
    """What `--model` and `refvid models` call it."""

    repository: str
    path: str
    """Within the repository, with forward slashes."""

    revision: str
    """Commit that it is pinned to; the first digits are enough."""

    backbone: str
    """Network that it fits."""

    licence: str
    size: int | None = None
    """Bytes; None is unknown."""

    sha256: str | None = None
    """None is unknown: the first download records it, and later ones must agree."""

    needs_acceptance: bool = False
    """Whether the licence must be accepted before a download."""

    terms: str = ""
    """What the licence means, in a sentence, where it must be accepted."""

    base: str | None = None
    """Name of the entry that holds the weights under this one's: they are loaded first, and these
    on top."""

    description: str = ""

    def __post_init__(self) -> None:
        # These become parts of paths and patterns.
        assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", self.name), self.name
        assert re.fullmatch(r"[0-9a-f]{7,40}", self.revision), self.revision
        assert ".." not in self.path.split("/"), self.path

    @property
    def page(self) -> str:
        """Where a person finds the file, for downloading it by hand."""
        return f"https://huggingface.co/{self.repository}/blob/{self.revision}/{self.path}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Entries by name."""

    entries: tuple[CatalogEntry, ...]

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
            f"There is no model {name!r} to download; there is: {', '.join(self.names) or 'none'}."
        )


_VIDEOVAE_PLUS_TERMS = (
    "non-commercial use only, with attribution, and no sharing of changed versions"
)

CATALOG = Catalog(
    (
        CatalogEntry(
            name="wan2.1",
            repository="Arrokothwhi/RefDecoder",
            path="I2V_Wan2.1/model.pt",
            revision="77ce6fb",
            backbone="wan2.1",
            licence="Apache-2.0",
            size=1_098_670_837,
            sha256="e77b2634f96e5096605b26da99b59cd71ece85d481d3ae86dc23fa14206f9841",
            description="RefDecoder on the Wan 2.1 autoencoder, the model of the paper",
        ),
        CatalogEntry(
            name="videovae+",
            repository="Arrokothwhi/RefDecoder",
            path="VAE/VideoVAEPlus/videovaeplus_ref.pt",
            revision="77ce6fb",
            backbone="videovae+",
            licence="CC BY-NC-ND 4.0",
            needs_acceptance=True,
            terms=_VIDEOVAE_PLUS_TERMS,
            base="videovae+base",
            description="RefDecoder on VideoVAE+, the paper's second model",
        ),
        CatalogEntry(
            name="videovae+base",
            repository="Arrokothwhi/RefDecoder",
            path="VideoVAEPlus/sota-4-16z.ckpt",
            revision="77ce6fb",
            backbone="videovae+",
            licence="CC BY-NC-ND 4.0",
            needs_acceptance=True,
            terms=_VIDEOVAE_PLUS_TERMS,
            description="VideoVAE+ itself, the weights under videovae+",
        ),
    )
)
"""The published checkpoints that this version can load."""
