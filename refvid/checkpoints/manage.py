"""`refvid models`: what can be had, what is here, is it whole, and away with it.

Imports no torch: hashes and files need none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from refvid.checkpoints.cache import Cache, hash_file, join_sha256
from refvid.checkpoints.catalog import Catalog, CatalogEntry, bundled_asset
from refvid.checkpoints.download import check, fetch
from refvid.checkpoints.hub_cache import hub_files, is_own_download, locate, partial_files
from refvid.errors import CheckpointError, CheckpointMismatch, CheckpointUnavailable, OptionError
from refvid.models.registry import bundled_names, find_backbone
from refvid.progress import TransferCallback, ignore_transfer

State = Literal["bundled", "downloaded", "partly downloaded", "not downloaded", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """One model, and what of it is on this machine. `to_json()` gives plain JSON types."""

    name: str
    backbone: str
    description: str
    licence: str
    state: State
    size: int | None
    """Bytes of the file as downloaded; None is unknown."""

    path: str | None = None
    converted: str | None = None
    """The conversion that is loaded in its place."""

    source: str | None = None
    """Web page of the file."""

    revision: str | None = None
    sha256: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether one file is what it should be."""

    name: str
    path: str
    sha256: str | None
    """What its bytes say; None where they were not worth reading."""

    error: CheckpointError | None = None

    def to_json(self) -> dict[str, Any]:
        problem = None if self.error is None else str(self.error)
        return {**asdict(self), "error": problem, "ok": self.error is None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What was deleted."""

    name: str
    removed: tuple[str, ...]
    freed_bytes: int
    kept: tuple[str, ...] = ()
    """Files of the model that another program put where they are."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def list_models(catalog: Catalog, cache: Cache) -> list[ModelStatus]:
    """Every model that `--model` takes by name, and that of `refvid stylize`."""
    return [
        *(_bundled_status(name) for name in bundled_names()),
        *(_status(name, catalog, cache) for name in catalog.names),
    ]


def download_model(
    name: str,
    catalog: Catalog,
    cache: Cache,
    on_transfer: TransferCallback = ignore_transfer,
    *,
    accept_licence: bool = False,
) -> ModelStatus:
    """Bring a model onto this machine, with what it is built on, and check it.

    Raises:
        LicenceNotAccepted: Its licence must be accepted first.
        CheckpointError: It cannot be had, or is not what it should be.
    """
    if name in bundled_names():
        return _bundled_status(name)
    for entry in catalog.layers(name):
        if accept_licence and entry.needs_acceptance:
            cache.accept(entry)
        fetch(entry, cache, on_transfer, model=name)
    return _status(name, catalog, cache)


def find_model(name: str, catalog: Catalog, cache: Cache) -> Path:
    """Where a model's file lies.

    Raises:
        CheckpointUnavailable: It is not on this machine.
    """
    status = _bundled_status(name) if name in bundled_names() else _status(name, catalog, cache)
    if status.path is None:
        raise CheckpointUnavailable(
            f"{name} is not on this machine. Run: refvid models download {name}"
        )
    return Path(status.path)


def verify_models(
    names: Iterable[str],
    catalog: Catalog,
    cache: Cache,
    on_transfer: TransferCallback = ignore_transfer,
) -> list[Verdict]:
    """Read every byte of the models' files again; without names, of all that are here.

    Raises:
        CheckpointUnavailable: A model that was asked for is not on this machine.
    """
    names = tuple(names)
    if not names:
        names = tuple(entry.name for entry in catalog if locate(entry) is not None)
    verdicts = []
    for name in names:
        path = find_model(name, catalog, cache)
        if name in bundled_names():
            sha256 = hash_file(path, on_transfer)
            verdicts.append(Verdict(name=name, path=str(path), sha256=sha256))
            continue
        entry = catalog.get(name)
        verdicts.append(_verify_file(entry, path, cache, on_transfer))
        verdicts += _verify_conversion(name, catalog, cache, on_transfer)
    return verdicts


def remove_model(name: str, catalog: Catalog, cache: Cache) -> Removal:
    """Delete a model's download and its conversion, but nothing that refvid did not write.

    Raises:
        OptionError: The model is part of the program.
        CheckpointUnavailable: The name is not known, or a file cannot be deleted.
    """
    if name in bundled_names():
        raise OptionError(f"{name} is part of refvid and stays.")
    entry = catalog.get(name)
    files = hub_files(entry)
    mine = is_own_download(entry, cache)
    doomed = [*(files if mine else ()), *partial_files(entry), *_conversions(name, catalog, cache)]
    freed = sum(path.stat().st_size for path in doomed if not path.is_symlink())
    for path in doomed:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointUnavailable(
                f"Cannot delete {path}: {error.strerror or error}."
            ) from error
        _remove_empty_folders(path.parent)
    return Removal(
        name=name,
        removed=tuple(str(path) for path in doomed),
        freed_bytes=freed,
        kept=() if mine else tuple(str(path) for path in files),
    )


def _bundled_status(name: str) -> ModelStatus:
    asset = bundled_asset(name)
    is_here = isinstance(asset, Path) and asset.is_file()
    return ModelStatus(
        name=name,
        backbone=name,
        description=spec.description if (spec := find_backbone(name)) else "",
        licence="Apache-2.0",
        state="bundled" if is_here else "missing",
        size=asset.stat().st_size if isinstance(asset, Path) and is_here else None,
        path=str(asset) if is_here else None,
    )


def _status(name: str, catalog: Catalog, cache: Cache) -> ModelStatus:
    *below, entry = catalog.layers(name)
    path = locate(entry)
    state: State = "downloaded"
    if path is None:
        state = "partly downloaded" if partial_files(entry) else "not downloaded"
    elif any(locate(layer) is None for layer in below):
        state = "partly downloaded"
    record = cache.record(entry.name, entry.revision)
    conversions = _conversions(name, catalog, cache)
    return ModelStatus(
        name=entry.name,
        backbone=entry.backbone,
        description=entry.description,
        licence=entry.licence,
        state=state,
        size=entry.size or (record.size if record else None),
        path=None if path is None else str(path),
        converted=str(conversions[0]) if conversions else None,
        source=entry.page,
        revision=entry.revision,
        sha256=_hash(entry, cache),
    )


def _hash(entry: CatalogEntry, cache: Cache) -> str | None:
    record = cache.record(entry.name, entry.revision)
    return entry.sha256 or (record.sha256 if record else None)


def _conversions(name: str, catalog: Catalog, cache: Cache) -> list[Path]:
    """What was made of a model's files: of the topmost one alone, or with those under it."""
    layers = catalog.layers(name)
    known = [sha256 for layer in layers if (sha256 := _hash(layer, cache)) is not None]
    if not known or _hash(layers[-1], cache) is None:
        return []
    made = {join_sha256(hashes) for hashes in (known, known[-1:])}
    paths = [cache.converted(sha256, layers[-1].backbone) for sha256 in sorted(made)]
    return [path for path in paths if path.is_file()]


def _verify_file(
    entry: CatalogEntry, path: Path, cache: Cache, on_transfer: TransferCallback
) -> Verdict:
    try:
        sha256 = check(entry, path, cache, on_transfer, fresh=True)
    except CheckpointMismatch as error:
        return Verdict(
            name=entry.name, path=str(path), sha256=cache.known_sha256(path), error=error
        )
    return Verdict(name=entry.name, path=str(path), sha256=sha256)


def _verify_conversion(
    name: str, catalog: Catalog, cache: Cache, on_transfer: TransferCallback
) -> list[Verdict]:
    verdicts = []
    for path in _conversions(name, catalog, cache):
        expected = cache.known_sha256(path)  # before it is read again
        sha256 = hash_file(path, on_transfer)
        error = None
        if sha256 != expected:
            error = CheckpointMismatch(
                f"{path}, the conversion of {name}, has changed since refvid wrote it. "
                "Delete it: the next start makes it again."
            )
        verdicts.append(Verdict(name=name, path=str(path), sha256=sha256, error=error))
    return verdicts


def _remove_empty_folders(folder: Path) -> None:
    """Take the folders away that a deleted file leaves empty, up to the repository's own."""
    while folder.name not in ("blobs", "snapshots", "converted"):
        try:
            folder.rmdir()
        except OSError:
            return  # not empty
        folder = folder.parent
