"""What can go wrong between this machine and a Hugging Face Hub, in a user's words."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from huggingface_hub import constants
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from refvid.checkpoints.catalog import CatalogEntry
from refvid.errors import CheckpointUnavailable

logger = logging.getLogger(__name__)

httpx: Any = import_module(HTTPError.__module__.partition(".")[0])
"""What this huggingface_hub talks with, httpx or httpx2: its errors come through."""

HUB_ERRORS = (
    httpx.HTTPError,  # also the base of HfHubHTTPError
    httpx.InvalidURL,
    FileMetadataError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
_RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})


class Patience:
    """Waits between attempts, as often as there are pauses."""

    def __init__(self, pauses_s: Sequence[float]) -> None:
        self._pauses_s = pauses_s
        self._waits = iter(pauses_s)

    def renew(self) -> None:
        """Begin again, since an attempt brought something."""
        self._waits = iter(self._pauses_s)

    def wait(self, error: Exception) -> None:
        """Wait for what may pass; raise the error if it will not, or there is no patience left."""
        pause = next(self._waits, None) if _may_pass(error) else None
        if pause is None:
            raise error
        logger.warning("%s; going on in %g s", _cause(error), pause)
        time.sleep(pause)


def explain(error: Exception, entry: CatalogEntry, *, is_kept: bool) -> CheckpointUnavailable:
    """Say why the hub gave nothing (one of `HUB_ERRORS`), and what else there is to do."""
    name, host = entry.name, constants.ENDPOINT
    by_hand = (
        f"or download {entry.page} by hand and pass the file with --weights FILE"
        f" (--model {entry.backbone})"
    )
    if isinstance(error, OfflineModeIsEnabled):
        what = f"{name} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it"
        todo = f"Unset HF_HUB_OFFLINE, {by_hand}."
    elif isinstance(error, GatedRepoError):
        what = f"{host} gives {name} only to people who have accepted its conditions"
        todo = f"Accept them on {entry.page} and set HF_TOKEN, {by_hand}."
    elif isinstance(error, RevisionNotFoundError | RemoteEntryNotFoundError):
        what = f"{host} has no {entry.path} at revision {entry.revision} of {entry.repository}"
        todo = f"If HF_ENDPOINT is set, try without it, look for a newer refvid, {by_hand}."
    elif isinstance(error, RepositoryNotFoundError) or _status(error) in (401, 403):
        what = f"{host} has no {entry.repository}, or not for this user ({_cause(error)})"
        todo = f"Check HF_TOKEN and HF_ENDPOINT, {by_hand}."
    elif isinstance(error, FileMetadataError):
        what = f"Cannot fetch {name}: {host} does not answer like a Hugging Face Hub"
        todo = f"Check HF_ENDPOINT and your proxy, {by_hand}."
    else:
        kept = "; what has arrived is kept" if is_kept else ""
        what = f"Cannot fetch {name} from {host}: {_cause(error)}{kept}"
        todo = (
            "Check the network and run again, set HF_ENDPOINT to a mirror or HTTPS_PROXY to a "
            f"proxy, {by_hand}."
        )
    return CheckpointUnavailable(f"{what}. {todo}")


def _may_pass(error: Exception) -> bool:
    """Whether the same request may work a moment later."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _RETRIED_STATUS
    return isinstance(error, httpx.TransportError) and not isinstance(
        error, httpx.UnsupportedProtocol | httpx.ProxyError
    )


def _status(error: Exception) -> int | None:
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def _cause(error: Exception) -> str:
    """The first line of an error that may have many."""
    if status := _status(error):
        return f"the server answered {status}"
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        return str(error.__cause__)
    return (str(error).strip() or type(error).__name__).splitlines()[0]
