"""What of a catalogue entry lies in the hub's cache, and what of that refvid has put there."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import constants, scan_cache_dir
from huggingface_hub.file_download import repo_folder_name

from refvid.checkpoints.cache import Cache
from refvid.checkpoints.catalog import CatalogEntry


def locate(entry: CatalogEntry) -> Path | None:
    """The entry's file in the hub's cache, unchecked and without any network; None if missing."""
    return next((path for path in _pointers(entry) if path.is_file()), None)


def hub_files(entry: CatalogEntry) -> list[Path]:
    """Everything of this entry in the hub's cache: pointers first, then what they point to."""
    pointers = _pointers(entry)
    if not pointers:
        return []
    own: set[Path] = set()
    shared: set[Path] = set()
    folder = repository_folder(entry)
    for repository in scan_cache_dir().repos:
        for revision in repository.revisions if repository.repo_path == folder else ():
            for file in revision.files:
                (own if file.file_path in pointers else shared).add(file.blob_path)
    return [*pointers, *sorted(own - shared - set(pointers))]


def is_own_download(entry: CatalogEntry, cache: Cache) -> bool:
    """Whether refvid put the entry's file into the hub's cache, rather than another program."""
    record = cache.record(entry.name, entry.revision)
    return record is not None and record.downloaded == str(repository_folder(entry))


def partial_files(entry: CatalogEntry) -> list[Path]:
    """Unfinished downloads of refvid in the entry's repository."""
    return sorted((repository_folder(entry) / "blobs").glob("*.refvid.incomplete"))


def repository_folder(entry: CatalogEntry) -> Path:
    """Folder of the entry's repository in the hub's cache, whether or not it exists."""
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(
        repo_id=entry.repository, repo_type="model"
    )


def _pointers(entry: CatalogEntry) -> list[Path]:
    return sorted((repository_folder(entry) / "snapshots").glob(f"{entry.revision}*/{entry.path}"))
