"""The bytes of one file, from a server that may break off, drip, or not do as it says."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from refvid.checkpoints.hub_errors import Patience, httpx

LEAST_BYTES: Final = 256 << 10
"""So much must arrive in a minute of every connection, and in all before the waiting times between
attempts begin again."""

_MINUTE_S: Final = 60.0
_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/(?:([0-9]{1,18})|\*)")


def receive(
    url: str, partial: Path, size: int, tell: Callable[[int], None], pauses_s: Sequence[float]
) -> None:
    """Fill a file up to its size, from where it ends.

    Attempts that bring little or nothing new are as many as there are pauses; nothing is asked for
    ever. What has arrived stays, until a server begins again from the start.

    Args:
        url: Of the whole file.
        partial: What there is of it; need not exist.
        size: How long it must become [bytes].
        tell: Told how many bytes there are.
        pauses_s: Waiting times before further attempts [s].

    Raises:
        HfHubHTTPError, httpx.HTTPError: The server does not give it.
        OSError: It cannot be written.
    """
    partial.touch()
    if partial.stat().st_size > size:
        partial.write_bytes(b"")  # it is of another file
    patience = Patience(pauses_s)
    best = partial.stat().st_size
    may_go_on = True
    while partial.stat().st_size != size:
        try:
            may_go_on = _receive_some(url, partial, size, tell, may_go_on=may_go_on)
            if not may_go_on:
                raise httpx.RemoteProtocolError("the server has another part than was asked for")
            if partial.stat().st_size != size:
                raise httpx.RemoteProtocolError("the server ended before the file did")
        except (HfHubHTTPError, httpx.TransportError) as error:
            # Not what arrived again, after it had begun from the start.
            if (have := partial.stat().st_size) >= best + LEAST_BYTES:
                best = have
                patience.renew()
            patience.wait(error)


def _receive_some(
    url: str, partial: Path, size: int, tell: Callable[[int], None], *, may_go_on: bool
) -> bool:
    """One request for what is missing, or for all; says whether the next may ask for a part."""
    have = partial.stat().st_size if may_go_on else 0
    # Compressed on the way, a range would count other bytes than the file's.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    # Redirects lead to another host, and the session takes the token off on the way.
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
        part = _part(response)
        if part.start not in (0, have) or part.total not in (None, size):
            return False  # nothing of it is written
        if response.status_code == 416:
            return False
        hf_raise_for_status(response)
        have = part.start
        pace = _Pace()
        with partial.open("r+b") as file:
            file.truncate(have)
            file.seek(have)
            tell(have)
            for block in response.iter_raw():  # as they come: a break loses none
                have += file.write(block[: size - have])
                tell(have)
                pace.check(len(block))
                if have == size:
                    break  # whatever else it sends
    return True


class _Part(NamedTuple):
    """Which part of a file an answer holds."""

    start: int
    total: int | None
    """Length of the whole file [bytes], where it says."""


def _part(response: Any) -> _Part:
    if response.status_code != 206:
        return _Part(0, None)
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None:
        return _Part(-1, None)
    return _Part(int(match[1]), int(match[2]) if match[2] else None)


class _Pace:
    """Ends a transfer of which too little arrives: a byte now and then would go on for years."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._count = 0

    def check(self, count: int) -> None:
        """Take note of bytes that arrived."""
        self._count += count
        now = time.monotonic()
        if now - self._since < _MINUTE_S:
            return
        if self._count < LEAST_BYTES:
            raise httpx.ReadTimeout(f"less than {LEAST_BYTES >> 10} KiB arrived in a minute")
        self._since, self._count = now, 0
