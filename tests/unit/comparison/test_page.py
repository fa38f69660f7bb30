"""The page as a file."""

import base64
import hashlib
import html
import json
import re
from importlib import resources
from pathlib import Path

import pytest

from refvid.comparison import page
from refvid.comparison.page import Preview, write_page
from refvid.errors import OutputError

HOSTILE = "</script><script>alert(1)</script>&\"'\u2028 <!-- \udcff"


@pytest.fixture
def make_page(tmp_path):
    def make(*, hide=False, content=b"video", **options):
        preview = tmp_path / "preview.mp4"
        preview.write_bytes(content)
        output = tmp_path / "report.html"
        write_page(
            output,
            title=HOSTILE,
            document={"blind": hide},
            details={"names": [HOSTILE, "secret name"]},
            hide_details=hide,
            previews=[Preview(path=preview, mime_type="video/mp4")],
            **options,
        )
        return output

    return make


def inner(text: str, pattern: str) -> str:
    (found,) = re.findall(pattern, text, re.DOTALL)
    return found


def test_nothing_is_loaded_from_elsewhere(make_page):
    text = make_page().read_text(encoding="utf-8")
    # The SVG namespace is a name, not an address.
    addresses = set(re.findall(r"(?:https?:)?//[a-z][\w.-]+/[^\s\"'`]*", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "//www.w3.org/2000/svg"}
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", text)
    assert not re.search(r"@import|url\(|importScripts|fetch\(|XMLHttpRequest|WebSocket", text)
    policy = html.unescape(inner(text, r'Content-Security-Policy" content="([^"]*)"'))
    assert policy.startswith("default-src 'none'; img-src data:; media-src blob:; ")
    for directive, tag in (
        ("script-src", r"<script>(.*?)</script>"),
        ("style-src", r"<style>(.*?)</style>"),
    ):
        digest = hashlib.sha256(inner(text, tag).encode()).digest()
        assert f"{directive} 'sha256-{base64.b64encode(digest).decode()}'" in policy


@pytest.mark.parametrize("hide", [False, True])
def test_hostile_names_stay_text(make_page, hide):
    text = make_page(hide=hide).read_text(encoding="utf-8")
    assert "alert(1)" not in re.sub(r"<title>.*?</title>|\\u003c.*?alert\(1\)", "", text)
    title = html.unescape(inner(text, r"<title>(.*?)</title>"))
    assert title == HOSTILE.encode(errors="replace").decode()
    # Each of our own elements ends where we end it.
    assert text.count("</script>") == text.count("<script") == 4
    if not hide:
        details = inner(text, r'<script type="text/plain" id="details">(.*?)</script>')
        assert json.loads(details)["names"][0] == HOSTILE


def test_hidden_details_are_not_readable_but_there(make_page):
    text = make_page(hide=True).read_text(encoding="utf-8")
    assert "secret name" not in text
    hidden = inner(text, r'<script type="text/plain" id="details">(.*?)</script>')
    mixed = base64.b64decode(hidden)
    plain = bytes(byte ^ b"refvid"[index % 6] for index, byte in enumerate(mixed))
    assert json.loads(plain)["names"] == [HOSTILE, "secret name"]


def test_previews_come_back_whole(make_page, monkeypatch):
    monkeypatch.setattr(page, "_PIECE", 30)
    content = bytes(range(256)) * 3
    text = make_page(content=content).read_text(encoding="utf-8")
    pieces = re.findall(r'<script type="text/plain" data-clip="0">(.*?)</script>', text)
    assert len(pieces) == 26
    assert b"".join(map(base64.b64decode, pieces)) == content


def test_an_existing_page_stays(make_page, tmp_path):
    (tmp_path / "report.html").write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        make_page()
    assert (tmp_path / "report.html").read_text() == "precious"
    make_page(overwrite=True)


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(OutputError):
        write_page(
            tmp_path / "report.html",
            title="",
            document={},
            details={},
            hide_details=False,
            previews=[Preview(path=tmp_path / "missing.mp4", mime_type="video/mp4")],
        )
    assert list(tmp_path.iterdir()) == []


def test_every_asset_is_part_of_the_page():
    folder = Path(str(resources.files("refvid.comparison.assets")))
    files = {file.name for file in folder.iterdir() if file.suffix in (".html", ".css", ".js")}
    assert files == {"page.html", "page.css", *page.SCRIPTS}
