"""Official files (.pt, .ckpt, .safetensors) -> one safetensors file with the network's keys.

Done once per file (or per pair of files, one on top of the other), kept in refvid's cache under the
file's hash, and memory-mapped ever after.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

import refvid
from refvid.checkpoints.cache import Cache, join_sha256
from refvid.checkpoints.checksums import note_checksums
from refvid.checkpoints.state_dict import (
    check_blocks,
    check_numbers,
    clean_keys,
    compare_keys,
    unwrap,
)
from refvid.checkpoints.weight_files import weight_files
from refvid.errors import CheckpointMismatch, CheckpointUnavailable
from refvid.old_archive import OLD_ARCHIVE_ADVICE, is_old_archive
from refvid.progress import Transfer, TransferCallback, ignore_transfer
from refvid.safetensors_file import open_safetensors
from refvid.torch_archive import (
    ArchiveError,
    PackedArchiveError,
    UnsafeArchiveError,
    load_archive,
)

logger = logging.getLogger(__name__)

FileKind = Literal["safetensors", "torch"]

_HEAD = 512
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkKeys:
    """What a network's checkpoints must hold."""

    backbone: str
    shapes: Mapping[str, tuple[int, ...]]
    blocks: int
    """Transformer blocks; another number is an error of its own."""


def detect_kind(path: Path) -> FileKind:
    """Tell a checkpoint's format by its contents, never by its name; of several files, the first's.

    Raises:
        CheckpointUnavailable: The file cannot be read.
        CheckpointMismatch: It is neither.
    """
    path = weight_files(path)[0]
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise CheckpointUnavailable(f"Cannot read {path}: {error.strerror or error}.") from error
    if head.startswith(b"PK\x03\x04"):
        return "torch"
    if head[8:9] == b"{":
        return "safetensors"
    if head.startswith(b"version https://git-lfs"):
        hint = "it is a git-lfs pointer; fetch the file itself, e.g. with git lfs pull"
    elif head.lstrip()[:1] == b"<":
        hint = "it is a web page; use the page's download button"
    elif is_old_archive(head):
        hint = OLD_ARCHIVE_ADVICE
    elif head.startswith(b"\x80"):
        hint = "it is a bare pickle, which refvid does not read; save it again with torch.save"
    else:
        hint = "fetch it again"
    raise CheckpointMismatch(
        f"{path} is neither a safetensors file nor one that torch.save wrote: {hint}."
    )


def ready_weights(
    source: Path,
    network: NetworkKeys,
    cache: Cache,
    on_transfer: TransferCallback = ignore_transfer,
    *,
    base: Path | None = None,
) -> Path:
    """A safetensors file with exactly the network's keys: the source itself, or its conversion.

    Safe in several processes at once: one converts, the others wait and use its file.

    Args:
        source: The weights.
        network: What they must hold, together with the base.
        cache: Where conversions are kept.
        on_transfer: Told how far the work is.
        base: Weights under them: what the source has too counts for nothing.

    Raises:
        CheckpointUnavailable: The source cannot be read, or there is no room.
        CheckpointMismatch: The source holds other weights than the network's.
    """
    files = weight_files(source)
    if files == (source,) and detect_kind(source) == "safetensors" and _fits(source, network):
        return source
    sources = [*files] if base is None else [base, *files]
    try:
        sha256 = join_sha256([cache.sha256(path, on_transfer) for path in sources])
        target = cache.converted(sha256, network.backbone)
        if _fits(target, network):
            return target
        with cache.lock(target):
            if not _fits(target, network):
                on_transfer(Transfer(f"converting {source.name}", 0, 1))
                _convert(sources, target, network, cache)
                on_transfer(Transfer(f"converting {source.name}", 1, 1))
    except OSError as error:
        raise CheckpointUnavailable(
            f"Cannot convert {source}, with the result in {cache.folder}: "
            f"{error.strerror or error}. REFVID_CACHE moves that folder."
        ) from error
    return target


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a safetensors file, from its header alone.

    Raises:
        SafetensorError: It is none, or not whole.
        OSError: It cannot be read.
    """
    with open_safetensors(path) as file:
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118


def _fits(path: Path, network: NetworkKeys) -> bool:
    """Whether a file is there, whole, and has exactly the network's keys."""
    try:
        return path.is_file() and not compare_keys(network.shapes, read_shapes(path))
    except (SafetensorError, OSError) as error:
        logger.debug("%s cannot be used as it is: %s", path, error)
        return False


def _convert(sources: Sequence[Path], target: Path, network: NetworkKeys, cache: Cache) -> None:
    """Write beside the target and rename; the caller holds its lock."""
    weights = read_official(sources, network)
    source = sources[-1]  # for messages
    for leftover in target.parent.glob(f".{target.stem}.*.partial"):
        leftover.unlink(missing_ok=True)  # of a process that was killed: we hold the lock
    size = sum(tensor.nbytes for tensor in weights.values())
    free = shutil.disk_usage(target.parent).free
    if free < size + size // 16:
        raise CheckpointUnavailable(
            f"The conversion of {source.name} needs {size / _MIB:.0f} MiB in {target.parent}, "
            f"which has {free / _MIB:.0f} MiB left. Make room, or move it with REFVID_CACHE."
        )
    partial = target.with_name(f".{target.stem}.{os.getpid()}.partial")
    metadata = {
        "format": "pt",
        "backbone": network.backbone,
        "converted_by": f"refvid {refvid.__version__}",
        "source_sha256": target.name.partition(".")[0],
        **note_checksums(weights),
    }
    try:
        partial.touch()
        mode = partial.stat().st_mode & 0o777
        save_file(weights, partial, metadata=metadata)
        partial.chmod(mode)  # safetensors would keep it from the other users of a shared cache
        with partial.open("r+b") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except SafetensorError as error:
        # How safetensors reports a full disk.
        raise CheckpointUnavailable(
            f"Cannot write {target.parent}: {error}. REFVID_CACHE moves that folder."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    cache.sha256(target)  # for `refvid models verify`
    logger.info("Converted %s once; later starts use %s", source, target)


def read_weights(source: Path) -> dict[str, Tensor]:
    """Weights of an official file without the training program's prefixes and losses, not copied.

    Of an index or a part, those of all parts.

    Raises:
        CheckpointMismatch: It is damaged, or holds other things than weights.
        CheckpointUnavailable: It cannot be read.
    """
    found: dict[str, Tensor] = {}
    for file in weight_files(source):
        found |= _read_file(file)
    return found


def _read_file(source: Path) -> dict[str, Tensor]:
    load = _load_torch if detect_kind(source) == "torch" else _load_safetensors
    try:
        found = clean_keys(unwrap(load(source)))
    except SafetensorError as error:
        raise CheckpointMismatch(
            f"{source} is no whole safetensors file ({error}). Fetch it again."
        ) from error
    except ValueError as error:
        raise CheckpointMismatch(f"{source} is no weights file: {error}.") from error
    foreign = [key for key, value in found.items() if not isinstance(value, Tensor)]
    if foreign:
        raise CheckpointMismatch(
            f"{source} holds things that are no weights: {', '.join(foreign[:12])}."
        )
    return found


def read_official(sources: Sequence[Path], network: NetworkKeys) -> dict[str, Tensor]:
    """Weights of official files under the network's keys, strictly, without copying them.

    Of a weight that is in several files, the last one's counts.

    Raises:
        CheckpointMismatch: A file is damaged, or together they hold other weights than the
            network's.
        CheckpointUnavailable: A file cannot be read.
    """
    found: dict[str, Tensor] = {}
    for source in sources:
        found |= _read_file(source)
    try:
        check_blocks(found, network.blocks)
        shapes = {key: tuple(tensor.shape) for key, tensor in found.items()}
        if differences := compare_keys(network.shapes, shapes):
            logger.debug("All differences: %s", differences.describe(shown=len(shapes) + 1000))
            raise ValueError(differences.describe())
        whole = [key for key, tensor in found.items() if not tensor.is_floating_point()]
        if whole:
            raise ValueError(f"these weights are not floating-point: {', '.join(whole[:12])}")
        check_numbers(found)
    except ValueError as error:
        files = " with those in ".join(str(source) for source in reversed(sources))
        raise CheckpointMismatch(
            f"The weights in {files} do not fit the network {network.backbone}: {error}."
        ) from error
    # Only now that the shapes are the network's: a stride of 0 makes gigabytes out of nothing.
    return {key: found[key].detach().contiguous() for key in network.shapes}


def _load_torch(source: Path) -> object:
    """Unpickle weights and nothing else, memory-mapped."""
    try:
        return load_archive(source)
    except UnsafeArchiveError as error:
        raise CheckpointMismatch(
            f"{source} holds more than weights ({error}). refvid does not run code "
            "from files: fetch it from where you trust it, or convert it to safetensors there."
        ) from error
    except PackedArchiveError as error:
        raise CheckpointMismatch(
            f"{source} is {error}, which torch.save never does. "
            "Fetch it again, from where you trust it."
        ) from error
    except ArchiveError as error:
        raise CheckpointMismatch(f"{source} is {error}. Fetch it again.") from error


def _load_safetensors(source: Path) -> dict[str, Any]:
    with open_safetensors(source) as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def read_metadata(path: Path) -> dict[str, str]:
    """A safetensors file's metadata; empty where there is none or it cannot be read."""
    try:
        with open_safetensors(path) as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, json.JSONDecodeError):
        return {}
