"""Receiving a file from a server on this machine that does not do as it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from refvid.checkpoints import receive as module
from refvid.checkpoints.hub_errors import httpx
from refvid.checkpoints.receive import receive
from tests.e2e.hub_server import Hub, serve

CONTENT = bytes(range(256)) * 4000  # 1 MB
SIZE = len(CONTENT)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve(Hub(repository="a/b", files={"file": CONTENT})) as hub:
        yield hub


@pytest.fixture
def fetch(hub: Hub, tmp_path: Path):
    """Receive the file, with attempts that do not wait, and give what there is of it."""
    partial = tmp_path / "partial"
    seen: list[int] = []

    def run(size: int = SIZE, attempts: int = 4) -> bytes:
        receive(
            f"{hub.endpoint}/cdn/file", partial, size, seen.append, pauses_s=[0] * (attempts - 1)
        )
        return partial.read_bytes()

    return SimpleNamespace(run=run, partial=partial, seen=seen)


def asked_ranges(hub: Hub) -> list[str | None]:
    return [headers.get("range") for headers in hub.asked("GET")]


def test_a_whole_file(hub, fetch):
    assert fetch.run() == CONTENT
    assert fetch.seen[-1] == SIZE
    assert asked_ranges(hub) == [None]


def test_the_rest_of_a_file(hub, fetch):
    fetch.partial.write_bytes(CONTENT[:70_000])
    assert fetch.run() == CONTENT
    assert asked_ranges(hub) == ["bytes=70000-"]


def test_a_file_that_is_shorter_than_announced_is_not_asked_for_ever(hub, fetch):
    with pytest.raises(httpx.RemoteProtocolError):
        fetch.run(size=3 * SIZE, attempts=4)
    # One attempt brought something new, and four more did not.
    assert len(hub.requests) <= 5
    assert fetch.partial.read_bytes() in (CONTENT, b"")


def test_a_server_that_breaks_off_after_a_byte(hub, fetch):
    hub.breaks = [1] * 100
    with pytest.raises(httpx.TransportError):
        fetch.run(attempts=4)
    assert len(hub.requests) == 4


def test_a_server_that_breaks_off_again_and_again_but_goes_on(hub, fetch):
    hub.breaks = [100_000] * 9
    assert fetch.run(attempts=4) == CONTENT
    assert len(hub.requests) == 10


@pytest.mark.parametrize(
    "wrong",
    [
        f"bytes 5-{SIZE - 1}/{SIZE}",
        f"bytes 70001-{SIZE - 1}/{SIZE}",
        f"bytes 70000-{SIZE}/{SIZE + 1}",
        "bytes",
        "bytes -1-5/6",
        f"bytes {'9' * 5000}-5/6",
        "",
    ],
    ids=lambda text: text[:20],
)
def test_a_part_that_was_not_asked_for_is_not_written(hub, fetch, wrong):
    fetch.partial.write_bytes(CONTENT[:70_000])
    hub.content_ranges = [wrong]
    with pytest.raises(httpx.RemoteProtocolError, match="another part"):
        fetch.run(attempts=1)
    assert fetch.partial.read_bytes() == CONTENT[:70_000]
    hub.content_ranges = [wrong]
    assert fetch.run(attempts=2) == CONTENT
    assert asked_ranges(hub)[1:] == ["bytes=70000-", None]  # the second asks for all


def test_a_part_that_begins_at_the_start(hub, fetch):
    fetch.partial.write_bytes(b"x" * 70_000)
    hub.content_ranges = [f"bytes 0-{SIZE - 70_001}/{SIZE}"]
    with pytest.raises(httpx.RemoteProtocolError, match="ended before"):
        fetch.run(attempts=1)
    assert fetch.partial.read_bytes() == CONTENT[70_000:]  # what it sent and said to be the start


def test_more_than_was_announced(hub, fetch):
    assert fetch.run(size=100_000) == CONTENT[:100_000]
    fetch.partial.write_bytes(CONTENT)
    assert fetch.run(size=1000) == CONTENT[:1000]


def test_a_server_that_drips(hub, fetch, monkeypatch):
    clock = SimpleNamespace(now=0.0)

    def later() -> float:
        clock.now += 100.0  # between any two blocks
        return clock.now

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=later))
    hub.pauses_s = 0.001  # blocks of a kibibyte or a few
    with pytest.raises(httpx.ReadTimeout, match="256 KiB arrived in a minute"):
        fetch.run(attempts=2)
    assert len(hub.requests) == 2
    assert 0 < fetch.partial.stat().st_size < SIZE


def test_a_minute_is_enough_for_a_slow_connection(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    pace = module._Pace()
    for second in range(1, 601):
        clock.now = float(second)
        pace.check(5000)
    clock.now = 661.0
    with pytest.raises(httpx.ReadTimeout):
        pace.check(4000)
