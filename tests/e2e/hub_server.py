"""A Hugging Face Hub in small: a real HTTP server on the loopback address, for one repository.

Speaks the routes that a download uses: HEAD and GET of `/{repository}/resolve/{revision}/{path}`,
which redirect to another host name for the bytes, as the real one does, byte ranges there, and
`/api/models/{repository}/commits/main`. Every fault that a test wants is a field.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server serves, what it does wrong, and what it was asked."""

    repository: str
    files: dict[str, bytes]
    commit: str = COMMIT
    short_revisions: bool = True
    """Whether it knows commits by their first digits."""

    branch: str | None = None
    """Another name of the commit."""

    token: str | None = None
    """Needed where set."""

    gated: bool = False
    statuses: list[int] = field(default_factory=list)
    """Answers to the next requests for a file, in place of the right ones."""

    breaks: list[int] = field(default_factory=list)
    """The next answers with bytes end, connection and all, after so many of them."""

    body: bytes | None = None
    """Sent in place of the file that was announced."""

    announced_size: int | None = None
    """Said in place of the file's size."""

    content_ranges: list[str] = field(default_factory=list)
    """Said in place of the right ones in the next answers with a part."""

    pauses_s: float = 0.0
    """Between the kibibytes of an answer."""

    ranges: bool = True
    no_metadata: bool = False
    """Answer as a server that is no hub."""

    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path and headers (names in lower case)."""

    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self, method: str, part: str = "") -> list[dict[str, str]]:
        """Headers of the requests with that method, and those words in their path."""
        return [head for verb, path, head in self.requests if verb == method and part in path]


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Run the server in a thread for as long as the context is open."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.hub = hub  # type: ignore[attr-defined]
    hub.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined]

    def log_message(self, *args: Any) -> None:
        """Be quiet."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        hub = self.hub
        headers = {name.lower(): value for name, value in self.headers.items()}
        hub.requests.append((self.command, self.path, headers))
        if hub.statuses and (self.path.startswith("/cdn/") or "/resolve/" in self.path):
            self.reply(hub.statuses.pop(0))
        elif self.path.startswith("/cdn/"):
            self.send_file(self.path.removeprefix("/cdn/"), headers)
        elif hub.no_metadata:
            self.reply(200, body=b"<html>welcome</html>")
        elif hub.gated and not hub.token:
            self.reply(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "conditions"})
        elif hub.token and headers.get("authorization") != f"Bearer {hub.token}":
            self.reply(401, {"X-Error-Code": "RepoNotFound"})
        elif self.path.startswith(f"/api/models/{hub.repository}/commits/main"):
            self.send_commits()
        elif match := re.fullmatch(f"/{hub.repository}/resolve/([^/]+)/(.+)", self.path):
            self.resolve(match[1], match[2])
        else:
            self.reply(404, {"X-Error-Code": "RepoNotFound"})

    def resolve(self, revision: str, path: str) -> None:
        hub = self.hub
        known = hub.commit.startswith(revision) if hub.short_revisions else hub.commit == revision
        if not known and revision != hub.branch:
            self.reply(404, {"X-Error-Code": "RevisionNotFound"})
        elif path not in hub.files:
            self.reply(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": hub.commit})
        else:
            content = hub.files[path]
            headers = {
                # Another host name: a token must not follow there.
                "Location": f"http://localhost:{hub.port}/cdn/{path}",
                "X-Repo-Commit": hub.commit,
                "X-Linked-Size": str(hub.announced_size or len(content)),
                "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
            }
            self.reply(302, headers)

    def send_file(self, path: str, headers: dict[str, str]) -> None:
        hub = self.hub
        content = hub.files[path] if hub.body is None else hub.body
        start, total = 0, len(content)
        status, extra = 200, {"Accept-Ranges": "bytes"}
        if hub.ranges and (match := re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))):
            start = int(match[1])
            if start >= total:
                self.reply(416, {"Content-Range": f"bytes */{total}"})
                return
            status, extra["Content-Range"] = 206, f"bytes {start}-{total - 1}/{total}"
            if hub.content_ranges:
                extra["Content-Range"] = hub.content_ranges.pop(0)
        self.reply(status, extra, body=content[start:])

    def send_commits(self) -> None:
        commits = [
            {
                "id": commit,
                "authors": [{"user": "somebody"}],
                "date": "2026-06-03T00:00:00.000Z",
                "title": "t",
                "message": "",
            }
            for commit in ("f" * 40, self.hub.commit)
        ]
        body = json.dumps(commits).encode()
        self.reply(200, {"Content-Type": "application/json"}, body=body)

    def reply(
        self, status: int, headers: dict[str, str] | None = None, *, body: bytes = b""
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD" or not body:
            return
        if self.path.startswith("/cdn/") and self.hub.breaks:
            self.wfile.write(body[: self.hub.breaks.pop(0)])
            self.close_connection = True
            return
        step = 1024 if self.hub.pauses_s else len(body)
        with suppress(ConnectionError):  # who asked has seen enough
            for start in range(0, len(body), step):
                time.sleep(self.hub.pauses_s)
                self.wfile.write(body[start : start + step])
