"""What refvid keeps about checkpoints on this machine: conversions, records, known hashes.

    <cache>/converted/<sha256>.<backbone>.safetensors   made from a file with that hash
    <cache>/records/<name>.json                         what is known about a catalogue entry
    <cache>/hashes/<hash of a path>.json                so that a file is hashed once
    <cache>/licences/<hash of its name>.json            accepted by the user

Downloads themselves lie in the hub's cache, where other programs find them too.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import platformdirs
from huggingface_hub.utils import WeakFileLock

from refvid.checkpoints.catalog import CatalogEntry
from refvid.errors import CheckpointUnavailable
from refvid.progress import Transfer, TransferCallback, ignore_transfer

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "REFVID_CACHE"
_BLOCK = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRecord:
    """What was learned about a catalogue entry on this machine."""

    revision: str
    """Pinned revision it holds for; a record for another one says nothing."""

    sha256: str
    size: int
    downloaded: str | None = None
    """Folder in the hub's cache where refvid itself put the file, and so may remove it."""


@dataclass(frozen=True, slots=True)
class Cache:
    """refvid's own cache folder; everything in it can be made again."""

    folder: Path

    @classmethod
    def default(cls) -> Cache:
        """The user's; REFVID_CACHE moves it."""
        chosen = os.environ.get(CACHE_VARIABLE)
        return cls(
            Path(chosen) if chosen else platformdirs.user_cache_path("refvid", appauthor=False)
        )

    def converted(self, sha256: str, backbone: str) -> Path:
        """Where the conversion of a file with this hash lies, or will lie."""
        return self.folder / "converted" / f"{sha256}.{backbone}.safetensors"

    def record(self, name: str, revision: str) -> EntryRecord | None:
        """What is known about an entry at a revision."""
        values = _read_json(self._record(name))
        if set(values) != {field.name for field in fields(EntryRecord)}:
            return None
        return EntryRecord(**values) if values["revision"] == revision else None

    def write_record(self, name: str, record: EntryRecord) -> None:
        """Keep what was learned.

        Raises:
            CheckpointUnavailable: The cache cannot be written.
        """
        self._write(self._record(name), asdict(record))

    def has_accepted(self, entry: CatalogEntry) -> bool:
        """Whether the user has accepted the entry's licence, for it or another of its kind."""
        return _read_json(self._licence(entry)) == _licence_facts(entry)

    def accept(self, entry: CatalogEntry) -> None:
        """Remember that the user accepts the entry's licence.

        Raises:
            CheckpointUnavailable: The cache cannot be written.
        """
        self._write(self._licence(entry), _licence_facts(entry))

    def sha256(
        self, path: Path, on_transfer: TransferCallback = ignore_transfer, *, fresh: bool = False
    ) -> str:
        """SHA-256 of a file; remembered until its size or time changes.

        Args:
            path: The file.
            on_transfer: Told how far the reading is.
            fresh: Read the file whatever is remembered.
        """
        known = self.known_sha256(path)
        if known and not fresh:
            return known
        found = hash_file(path, on_transfer)
        self.remember_sha256(path, found)
        return found

    def known_sha256(self, path: Path) -> str | None:
        """The remembered hash of a file that has not changed since."""
        values = _read_json(self._hash(path))
        sha256 = values.pop("sha256", None)
        return sha256 if isinstance(sha256, str) and values == _fingerprint(path) else None

    def remember_sha256(self, path: Path, sha256: str) -> None:
        try:
            _write_json(self._hash(path), {**_fingerprint(path), "sha256": sha256})
        except OSError as error:
            logger.debug("The next start will hash %s again: %s", path, error)

    @contextmanager
    def lock(self, path: Path) -> Iterator[None]:
        """Let one process at a time work on a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(path.with_name(f".{path.name}.lock")):
            yield

    def _write(self, path: Path, values: dict[str, Any]) -> None:
        try:
            _write_json(path, values)
        except OSError as error:
            raise CheckpointUnavailable(
                f"Cannot write to {self.folder}: {error.strerror or error}. "
                f"{CACHE_VARIABLE} moves that folder."
            ) from error

    def _licence(self, entry: CatalogEntry) -> Path:
        key = hashlib.sha256(f"{entry.backbone} {entry.licence}".encode()).hexdigest()[:32]
        return self.folder / "licences" / f"{key}.json"

    def _record(self, name: str) -> Path:
        return self.folder / "records" / f"{name}.json"

    def _hash(self, path: Path) -> Path:
        # os.fsencode: a file name need not be text.
        key = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
        return self.folder / "hashes" / f"{key}.json"


def hash_file(path: Path, on_transfer: TransferCallback = ignore_transfer) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Raises:
        CheckpointUnavailable: It cannot be read.
    """
    digest = hashlib.sha256()
    block = bytearray(_BLOCK)
    view = memoryview(block)
    done = 0
    try:
        total = path.stat().st_size
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(block):
                digest.update(view[:count])
                done += count
                on_transfer(Transfer(f"checking {path.name}", done, total))
    except OSError as error:
        raise CheckpointUnavailable(f"Cannot read {path}: {error.strerror or error}.") from error
    return digest.hexdigest()


def join_sha256(hashes: Sequence[str]) -> str:
    """One hash for what is made of several files, in their order; of one file, its own."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def _licence_facts(entry: CatalogEntry) -> dict[str, Any]:
    return {"backbone": entry.backbone, "licence": entry.licence}


def _fingerprint(path: Path) -> dict[str, Any]:
    """What changes when somebody writes to a file."""
    status = path.stat()
    return {"path": repr(path.absolute()), "size": status.st_size, "time": status.st_mtime_ns}


def _read_json(path: Path) -> dict[str, Any]:
    """A small file of our own; a missing or damaged one is as good as empty."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    beside.write_text(json.dumps(values), encoding="ascii")
    beside.replace(path)
