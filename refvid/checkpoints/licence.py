"""Terms that a user must accept before weights are downloaded: asked once, remembered."""

from __future__ import annotations

from refvid.checkpoints.cache import Cache
from refvid.checkpoints.catalog import CatalogEntry
from refvid.errors import LicenceNotAccepted


def check_licence(entry: CatalogEntry, cache: Cache) -> None:
    """Raise `LicenceNotAccepted` where the user must accept the entry's licence first."""
    if entry.needs_acceptance and not cache.has_accepted(entry):
        raise LicenceNotAccepted(
            f"{describe_licence(entry)} If you accept it, run: refvid models download {entry.name} "
            "--accept-license",
            entry_name=entry.name,
        )


def describe_licence(entry: CatalogEntry) -> str:
    """Say under which terms an entry comes, and where to read them."""
    terms = f" ({entry.terms})" if entry.terms else ""
    return f"{entry.name} comes under the licence {entry.licence}{terms}; see {entry.page}."
