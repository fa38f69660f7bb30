import errno
import io
import json
import logging
import sys
from types import SimpleNamespace

import pytest

from refvid.cli.console import Console, describe_error
from refvid.cli.exit_codes import exit_code_of
from refvid.cli.progress_lines import LineProgress
from refvid.cli.readable import format_bytes, format_duration, visible
from refvid.errors import InputError, OutputError
from refvid.progress import Progress, Transfer


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
    for error in (MemoryError(), RuntimeError("can't start new thread")):
        assert "not enough memory" in describe_error(error)
        assert exit_code_of(error) == 6
    assert describe_error(InputError()) == "InputError"


def test_small_character_set(console, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp1252", newline="\n"))
    console.result("日本 é.mp4")
    assert raw.getvalue() == b"\\u65e5\\u672c \xe9.mp4\n"


ODD_NAME = b"\xff\x1b[2J\n.mp4".decode("utf-8", "surrogateescape")


@pytest.mark.skipif(sys.platform == "win32", reason="file names are text there")
@pytest.mark.parametrize("is_terminal", [False, True])
def test_paths_are_exact_for_scripts_alone(monkeypatch, is_terminal):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", newline="\n")
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(sys, "stdout", stream)
    console = Console()
    console.result_path(ODD_NAME)
    console.result("name", ODD_NAME)
    seen = b"\\xff\\x1b[2J\\n.mp4\n"
    assert raw.getvalue() == (seen if is_terminal else b"\xff\x1b[2J\n.mp4\n") + b"name\n" + seen


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b é 日本 👍🏽 1\u00a0000", "a b é 日本 👍🏽 1\u00a0000"),
        ("\x1b[31mred\x9b0m", r"\x1b[31mred\x9b0m"),
        ("one\ntwo\r\n\tthree\x7f\0", r"one\ntwo\r\n\tthree\x7f\x00"),
        ("gpj.\u202efdp\u2066\u200f", r"gpj.\u202efdp\u2066\u200f"),
        ("line\u2028paragraph\u2029\ufeff", r"line\u2028paragraph\u2029\ufeff"),
        ("\U000e0041\udc9b\ud800", r"\U000e0041\x9b\ud800"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_characters_that_do_not_show(text, shown):
    assert visible(text) == shown
    assert visible(shown) == shown


def test_no_message_moves_the_cursor(console, capsys, monkeypatch):
    console.start("verbose")
    name = "\x1b[2J\u202e\nerror: forged"
    console.note(name)
    console.warning(name)
    console.error(InputError(name), context=name)
    logging.getLogger("refvid").warning("%s", name)
    with console.progress(name) as update:
        update(Progress(done=10, total=10))
    with console.transfers() as tell:
        tell(Transfer(name, 0, 10))
    console.result(name)
    out, err = capsys.readouterr()
    for character in ("\x1b", "\u202e"):
        assert character not in out + err
    assert "\nerror: forged" not in out + err
    assert len(out.splitlines()) == 1


def test_bars_show_names_too(console, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    console.start()
    with console.progress("\x1b]0;title\x07") as update:
        update(Progress(done=5, total=10))
    with console.transfers() as tell:
        tell(Transfer("\x1b]0;title\x07", 5, 10))
    assert r"\x1b]0;title\x07" in terminal.getvalue()
    assert "\x1b]" not in terminal.getvalue()


def test_json_is_exact(console, capsys):
    console.result_json({"path": "\x1b\n\u202e"})
    assert json.loads(capsys.readouterr().out) == {"path": "\x1b\n\u202e"}


class Full(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_results_that_cannot_be_told(console, monkeypatch):
    for stream in (Full(), None):
        monkeypatch.setattr(sys, "stdout", stream)
        for tell in (lambda: console.result("a"), lambda: console.result_json({})):
            with pytest.raises(OutputError, match="standard output"):
                tell()


def test_messages_that_cannot_be_told(console, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Full())
    console.note("a")
    console.error(InputError("b"))


class TestLines:
    @pytest.fixture
    def progress(self):
        now = SimpleNamespace(time=0.0)
        said: list[str] = []
        lines = LineProgress("clip.mp4", said.append, clock=lambda: now.time)
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
