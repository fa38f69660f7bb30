"""Hugging Face Hub -> local path, checked.

Files go to the hub's own cache, so that other programs share them, and every variable of
huggingface_hub holds: HF_ENDPOINT, HF_HUB_OFFLINE, HF_HUB_CACHE, HF_TOKEN, proxies. Its
`hf_hub_download` (2.4) forgets what it has when it is stopped; a gigabyte deserves better, so the
bytes are received here, with its session, and handed to its cache when size and hash are right.
(Its `http_get` resumes, but writes in blocks of ten megabytes, of which a break loses what is not
whole, and takes no notice of a file that another program has changed.)
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
)
from huggingface_hub.errors import (
    FileMetadataError,
    HfHubHTTPError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import are_symlinks_supported
from huggingface_hub.utils import WeakFileLock

from refvid.checkpoints.cache import Cache, EntryRecord, hash_file
from refvid.checkpoints.catalog import CatalogEntry
from refvid.checkpoints.hub_cache import is_own_download, locate, partial_files, repository_folder
from refvid.checkpoints.hub_errors import HUB_ERRORS, Patience, explain, httpx
from refvid.checkpoints.licence import check_licence
from refvid.checkpoints.receive import receive
from refvid.errors import CheckpointMismatch, CheckpointUnavailable
from refvid.progress import Transfer, TransferCallback, ignore_transfer

logger = logging.getLogger(__name__)

PAUSES_S: tuple[float, ...] = (1, 2, 4, 8)
"""Waiting times between attempts that bring nothing new; bytes that arrive start them again."""

_SPARE_BYTES = 64 << 20
_MIB = 1 << 20


def fetch(
    entry: CatalogEntry,
    cache: Cache,
    on_transfer: TransferCallback = ignore_transfer,
    *,
    model: str = "",
    pauses_s: Sequence[float] = PAUSES_S,
) -> Path:
    """The entry's file with the right size and hash, downloaded if it is not here.

    `model` is what the user asked for, where the entry lies under that.

    A download that was stopped goes on where it stopped. A file that is here needs no network.

    Raises:
        LicenceNotAccepted: It is not here, and its licence was never accepted.
        CheckpointUnavailable: It is not here and cannot be had.
        CheckpointMismatch: It is not the file that was expected.
    """
    path = locate(entry)
    if path is None:
        check_licence(entry, cache, model)
        path = _download(entry, cache, on_transfer, pauses_s)
    check(entry, path, cache, on_transfer)
    return path


def check(
    entry: CatalogEntry,
    path: Path,
    cache: Cache,
    on_transfer: TransferCallback = ignore_transfer,
    *,
    fresh: bool = False,
) -> str:
    """Compare a file's size and hash with what the entry must have.

    Where the catalogue knows no hash, the first one is recorded and later ones must agree.

    Args:
        entry: What it should be.
        path: The file.
        cache: Knows hashes.
        on_transfer: Told how far the reading is.
        fresh: Read the file even if its hash is remembered.

    Returns:
        The SHA-256.

    Raises:
        CheckpointMismatch: They differ.
    """
    # What another program has downloaded, `remove` leaves alone. What lies in the hub's cache is
    # mostly a link, which would be made again if it alone were deleted.
    first = f"Delete {path.resolve()}, and run:"
    if is_own_download(entry, cache):
        first = f"Run: refvid models remove {entry.name};"
    advice = f"{first} refvid models download {entry.name}"
    size = path.stat().st_size
    record = cache.record(entry.name, entry.revision)
    expected_size = entry.size or (record and record.size)
    if expected_size and size != expected_size:
        raise CheckpointMismatch(
            f"{path} is not {entry.name}: it has {size} bytes instead of {expected_size}. {advice}"
        )
    sha256 = cache.sha256(path, on_transfer, fresh=fresh)
    expected = entry.sha256 or (record and record.sha256)
    if expected and sha256 != expected:
        raise CheckpointMismatch(
            f"{path} is not {entry.name}: its SHA-256 is {sha256} instead of {expected}. {advice}"
        )
    if record is None:
        record = EntryRecord(revision=entry.revision, sha256=sha256, size=size)
        cache.write_record(entry.name, record)
    return sha256


class _RemoteFile(NamedTuple):
    """What the hub says about a file before it sends it."""

    url: str
    etag: str
    commit: str
    size: int | None


def _download(
    entry: CatalogEntry, cache: Cache, on_transfer: TransferCallback, pauses_s: Sequence[float]
) -> Path:
    try:
        remote = _look_up(entry, pauses_s)
        _compare_with_catalog(entry, remote)
        storage = repository_folder(entry)
        blob = storage / "blobs" / remote.etag
        lock = storage.parent / ".locks" / storage.name / f"{remote.etag}.lock"  # the hub's own
        for folder in (blob.parent, lock.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(lock):
            # Another process may have been first.
            if not blob.exists() and locate(entry) is None:
                sha256 = _receive(entry, cache, remote, blob, on_transfer, pauses_s)
            else:
                sha256 = None
        path = _publish(entry, remote, blob)
    except HUB_ERRORS as error:
        raise explain(error, entry, is_kept=bool(partial_files(entry))) from error
    except OSError as error:
        raise CheckpointUnavailable(
            f"Cannot store {entry.name} in {constants.HF_HUB_CACHE}: {error.strerror or error}. "
            "HF_HUB_CACHE moves that folder."
        ) from error
    if sha256 is not None:
        cache.remember_sha256(path, sha256)
    return path


def _look_up(entry: CatalogEntry, pauses_s: Sequence[float]) -> _RemoteFile:
    """Ask for size and commit; a busy server is asked again, a missing network is not."""

    def ask(revision: str) -> _RemoteFile:
        url = hf_hub_url(entry.repository, entry.path, revision=revision)
        found = get_hf_file_metadata(url)
        # Both become names of files, and a mirror may say anything.
        etag, commit = found.etag or "", found.commit_hash or ""
        if not re.fullmatch(r"[\w-]{1,128}", etag) or not re.fullmatch(r"[0-9a-f]{40}", commit):
            raise FileMetadataError("it does not answer like a Hugging Face Hub")
        return _RemoteFile(url, etag, commit, found.size)

    patience = Patience(pauses_s)
    revision = entry.revision
    while True:
        try:
            return ask(revision)
        except RevisionNotFoundError:
            # The hub may know commits by their full name only.
            commits = (commit.commit_id for commit in HfApi().list_repo_commits(entry.repository))
            full = next((name for name in commits if name.startswith(revision)), revision)
            if full == revision:
                raise
            revision = full
        except (HfHubHTTPError, httpx.TimeoutException) as error:
            patience.wait(error)


def _compare_with_catalog(entry: CatalogEntry, remote: _RemoteFile) -> None:
    """Find out before a gigabyte is on its way; the etag of a large file is its SHA-256."""
    # A branch may have been called like the first digits of a commit.
    if not remote.commit.startswith(entry.revision):
        raise CheckpointMismatch(
            f"{constants.ENDPOINT} offers {entry.name} of commit {remote.commit} in place of "
            f"{entry.revision}. Nothing was downloaded. If HF_ENDPOINT is set, try without it."
        )
    is_sha256 = re.fullmatch(r"[0-9a-f]{64}", remote.etag)
    if (entry.size and remote.size and entry.size != remote.size) or (
        entry.sha256 and is_sha256 and remote.etag != entry.sha256
    ):
        size = "unknown" if remote.size is None else remote.size
        raise CheckpointMismatch(
            f"{constants.ENDPOINT} offers another file than the catalogue's {entry.name}: "
            f"{size} bytes instead of {entry.size}, name {remote.etag}. Nothing was downloaded. "
            "If HF_ENDPOINT is set, try without it; a newer refvid may know the new file."
        )


def _receive(
    entry: CatalogEntry,
    cache: Cache,
    remote: _RemoteFile,
    blob: Path,
    on_transfer: TransferCallback,
    pauses_s: Sequence[float],
) -> str:
    """Fill the blob, starting with what an earlier attempt has left; return its hash."""
    partial = blob.with_name(f"{blob.name}.refvid.incomplete")
    size = remote.size or entry.size
    if size is None:
        raise FileMetadataError("it does not say how long the file is")
    have = partial.stat().st_size if partial.exists() else 0
    _check_space(entry, partial.parent, size - have)
    if have:
        logger.info("Going on with the download of %s after %d bytes", entry.name, have)

    def tell(done: int) -> None:
        on_transfer(Transfer(f"downloading {entry.name}", done, size))

    receive(remote.url, partial, size, tell, pauses_s)
    actual = partial.stat().st_size
    step = f"checking {entry.name}"
    sha256 = hash_file(partial, lambda seen: on_transfer(replace(seen, step=step)))
    record = cache.record(entry.name, entry.revision)
    expected = entry.sha256 or (record and record.sha256)
    if actual != size or (expected and sha256 != expected):
        partial.unlink()
        raise CheckpointMismatch(
            f"The download of {entry.name} is damaged: {actual} bytes with SHA-256 {sha256} "
            f"instead of {size} with {expected}. It was deleted; run again: "
            f"refvid models download {entry.name}"
        )
    # Before the file has its name: from now on it is ours, whatever happens next.
    record = EntryRecord(
        revision=entry.revision,
        sha256=sha256,
        size=actual,
        downloaded=str(repository_folder(entry)),
    )
    cache.write_record(entry.name, record)
    partial.replace(blob)
    return sha256


def _publish(entry: CatalogEntry, remote: _RemoteFile, blob: Path) -> Path:
    """Give a whole file its name in the hub's cache."""
    path = locate(entry)
    if path is not None:
        return path
    if are_symlinks_supported(constants.HF_HUB_CACHE):
        return Path(hf_hub_download(entry.repository, entry.path, revision=remote.commit))
    # Without symbolic links the client would keep two copies.
    path = repository_folder(entry) / "snapshots" / remote.commit / entry.path
    path.parent.mkdir(parents=True, exist_ok=True)
    blob.replace(path)
    return path


def _check_space(entry: CatalogEntry, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > 0 and free < needed + _SPARE_BYTES:
        raise CheckpointUnavailable(
            f"{entry.name} needs {needed / _MIB:.0f} MiB in {folder}, which has "
            f"{free / _MIB:.0f} MiB left. Make room, or move the hub's cache with HF_HUB_CACHE."
        )
