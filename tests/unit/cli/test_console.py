import io
import json
import logging
import sys
from types import SimpleNamespace

import pytest

from refvid.cli.console import (
    Console,
    _LineProgress,
    describe_error,
    format_bytes,
    format_duration,
)
from refvid.errors import InputError
from refvid.progress import Progress


@pytest.fixture
def console():
    console = Console()
    yield console
    console.close()


def test_results_and_messages_part(console, capsys):
    console.start()
    console.result("path")
    console.note("hello")
    console.warning("careful")
    out, err = capsys.readouterr()
    assert out == "path\n"
    assert err == "hello\nwarning: careful\n"


def test_json_is_ascii(console, capsys):
    console.result_json({"path": "Ünï\udcff.mp4"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"path": "Ünï\udcff.mp4"}


@pytest.mark.parametrize(
    ("level", "lines"),
    [
        ("quiet", ["error: E"]),
        ("normal", ["warning: W", "error: E"]),
        ("verbose", ["I", "warning: W", "error: E"]),
        ("debug", ["debug: D", "I", "warning: W", "error: E"]),
    ],
)
def test_log_levels(console, capsys, level, lines):
    console.start(level)
    logger = logging.getLogger("refvid.some.module")
    logger.debug("D")
    logger.info("I")
    logger.warning("W")
    logger.error("E")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == lines


def test_log_is_given_back(console):
    before = list(logging.getLogger("refvid").handlers)
    console.start()
    console.start("debug")
    assert len(logging.getLogger("refvid").handlers) == len(before) + 1
    console.close()
    assert logging.getLogger("refvid").handlers == before


def test_errors_are_one_line(console, capsys):
    console.error(InputError("first\n  second"), context="clip.mp4")
    assert capsys.readouterr().err == "error: clip.mp4: first second\n"


def test_context_is_not_said_twice(console, capsys):
    console.error(InputError("clip.mp4: damaged"), context="clip.mp4")
    assert capsys.readouterr().err == "error: clip.mp4: damaged\n"


def test_bugs_say_that_they_are():
    assert "bug" in describe_error(KeyError("x"))
    assert "memory" in describe_error(MemoryError())
    assert describe_error(InputError()) == "InputError"


def test_small_character_set(console, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp1252", newline="\n"))
    console.result("日本 é.mp4")
    assert raw.getvalue() == b"\\u65e5\\u672c \xe9.mp4\n"


@pytest.mark.skipif(sys.platform == "win32", reason="file names are text there")
def test_file_names_that_are_no_text(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8", newline="\n"))
    Console().result(b"\xff.mp4".decode("utf-8", "surrogateescape"))
    assert raw.getvalue() == b"\xff.mp4\n"


class TestLines:
    @pytest.fixture
    def progress(self):
        now = SimpleNamespace(time=0.0)
        said: list[str] = []
        lines = _LineProgress("clip.mp4", said.append, clock=lambda: now.time)
        return SimpleNamespace(lines=lines, said=said, now=now)

    def test_a_line_per_tenth(self, progress):
        for done in range(1, 101):
            progress.now.time = done / 10
            progress.lines.update(Progress(done=done, total=100))
        assert len(progress.said) == 10
        assert progress.said[0] == "clip.mp4: 10 %, 10/100 frames, 0:09 left"
        assert progress.said[-1] == "clip.mp4: 100 %, 100 frames"

    def test_a_line_per_half_minute(self, progress):
        for second in range(95):
            progress.now.time = float(second)
            progress.lines.update(Progress(done=second, total=100_000))
        assert len(progress.said) == 3

    def test_unknown_length(self, progress):
        progress.now.time = 31.0
        progress.lines.update(Progress(done=7, total=None))
        assert progress.said == ["clip.mp4: 7 frames, 0:31 so far"]

    def test_the_end_is_said_once(self, progress):
        progress.lines.update(Progress(done=5, total=5))
        progress.lines.update(Progress(done=5, total=5))
        assert progress.said == ["clip.mp4: 100 %, 5 frames"]

    def test_one_is_not_several(self, progress):
        progress.lines.update(Progress(done=1, total=1))
        assert progress.said == ["clip.mp4: 100 %, 1 frame"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bar_on_a_terminal(console, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    console.start()
    with console.progress("clip.mp4") as update:
        update(Progress(done=5, total=10))
        logging.getLogger("refvid").warning("careful")
        update(Progress(done=10, total=10))
    assert "clip.mp4" in terminal.getvalue()
    assert "warning: careful\n" in terminal.getvalue()


def test_lines_in_ci(console, monkeypatch):
    monkeypatch.setenv("CI", "true")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    console.start()
    with console.progress("clip.mp4") as update:
        update(Progress(done=10, total=10))
    assert terminal.getvalue() == "clip.mp4: 100 %, 10 frames\n"


def test_quiet_progress(console, capsys):
    console.start("quiet")
    with console.progress("clip.mp4") as update:
        update(Progress(done=10, total=10))
    assert capsys.readouterr().err == ""


def test_words_for_numbers():
    assert [format_duration(s) for s in (0, 6.6, 200, 3729)] == ["0:00", "0:07", "3:20", "1:02:09"]
    assert [format_bytes(n) for n in (0, 1023, 1536, 3 << 30)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "3.0 GiB",
    ]
