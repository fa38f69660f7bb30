"""Terms that a user must accept before weights are downloaded: asked once, remembered."""

from __future__ import annotations

from refvid.checkpoints.cache import Cache
from refvid.checkpoints.catalog import CatalogEntry
from refvid.errors import LicenceNotAccepted


def check_licence(entry: CatalogEntry, cache: Cache, model: str = "") -> None:
    """Raise `LicenceNotAccepted` where the user must accept the entry's licence first.

    Args:
        entry: What would be downloaded.
        cache: Knows what was accepted.
        model: What the user asked for, where the entry lies under that.
    """
    if entry.needs_acceptance and not cache.has_accepted(entry):
        terms = _describe_licence(entry, model)
        raise LicenceNotAccepted(
            f"{terms} If you accept it, run: refvid models download {model or entry.name} "
            "--accept-license",
            entry_name=entry.name,
            terms=terms,
        )


def _describe_licence(entry: CatalogEntry, model: str) -> str:
    """Say under which terms an entry comes, and where to read them."""
    name = entry.name if model in ("", entry.name) else f"{model} needs {entry.name}, which"
    terms = f" ({entry.terms})" if entry.terms else ""
    return f"{name} comes under the licence {entry.licence}{terms}; see {entry.page}."
