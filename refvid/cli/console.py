"""The only printer: results to stdout; messages, log and progress to stderr.

`out=$(refvid enhance clip.mp4 --ref photo.jpg)` holds the output's path and nothing else.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from refvid.cli.events import EventProgress
from refvid.cli.exit_codes import exit_code_of
from refvid.cli.failure import Failure
from refvid.cli.progress_lines import LineProgress, TransferLines
from refvid.cli.readable import visible
from refvid.errors import OutputError, RefvidError, is_out_of_memory

if TYPE_CHECKING:
    from refvid.progress import Progress, ProgressCallback, Transfer, TransferCallback
    from refvid.settings import LogLevel

_LONGEST_DETAIL = 200
_LOG_LEVELS = {
    "quiet": logging.ERROR,
    "normal": logging.WARNING,
    "verbose": logging.INFO,
    "debug": logging.DEBUG,
}


class Console:
    """What one run of the program says, and where."""

    def __init__(self) -> None:
        self.level: LogLevel = "normal"
        self.json = False
        self.prints_paths = True
        """Off where the result itself is on stdout."""
        self.tells_events = False
        """Whether stderr has one JSON object a line, for a program that reads along."""

        self.names: dict[str, str] = {}
        """What temporary files are called, by their paths."""

        self._bar: Any = None
        self._log_handler: _StderrHandler | None = None
        _accept_any_file_name(sys.stdout)
        _accept_any_file_name(sys.stderr)

    def start(self, level: LogLevel = "normal", *, as_json: bool = False) -> None:
        """Take over the log; `close` gives it back."""
        self.close()
        self.level, self.json = level, as_json
        self._log_handler = _StderrHandler(self)
        self._log_handler.setLevel(_LOG_LEVELS[level])
        logger = logging.getLogger("refvid")
        logger.addHandler(self._log_handler)
        logger.setLevel(_LOG_LEVELS[level])

    def close(self) -> None:
        if self._log_handler is not None:
            logger = logging.getLogger("refvid")
            logger.removeHandler(self._log_handler)
            logger.setLevel(logging.NOTSET)
            self._log_handler = None

    def result(self, *lines: str) -> None:
        """Print lines for a person to stdout."""
        _print_result("\n".join(map(visible, lines)))

    def result_path(self, path: Path | str) -> None:
        """Print a path to stdout: as it is, where a script reads it."""
        if not self.prints_paths:
            return
        is_seen = sys.stdout is not None and sys.stdout.isatty()
        _print_result(visible(str(path)) if is_seen else str(path))

    def result_json(self, document: dict[str, Any]) -> None:
        """Print the one JSON object of a run; ASCII, so that any terminal and pipe can carry it."""
        _print_result(self._named(json.dumps(document, indent=2)))

    def event(self, kind: str, **facts: Any) -> None:
        """Print a JSON object on one line of stderr, where `tells_events`."""
        if self.tells_events:
            _print_message(json.dumps({"event": kind, **facts}))

    def note(self, text: str) -> None:
        """Tell the user something on stderr; silent with --quiet."""
        if self.level != "quiet":
            self._say(text)

    def relay(self, text: str) -> None:
        """Print what another process would have printed."""
        self._say(text)

    def warning(self, text: str) -> None:
        self._say(f"warning: {text}")

    def error(self, error: BaseException, *, context: str = "") -> None:
        """Print one line on what went wrong; with --debug the traceback as well."""
        if self.level == "debug":
            for line in "".join(traceback.format_exception(error)).splitlines():
                self._say(line)
        message = describe_error(error)
        if context and context not in message:
            message = f"{context}: {message}"
        self._say(f"error: {message}")

    @contextmanager
    def progress(self, label: str, unit: str = "frame", **facts: Any) -> Iterator[ProgressCallback]:
        """Show how far a workflow is: a bar on a terminal, a line now and then elsewhere.

        `unit` is the word for one of what is done; `facts` tell events apart.
        """
        if self.level == "quiet" and not self.tells_events:
            yield _ignore
        elif sys.stderr.isatty() and not (self.tells_events or os.environ.get("CI")):
            with self._tqdm(label, unit) as callback:
                yield callback
        else:
            yield self.progress_lines(label, unit=unit, **facts)

    def progress_lines(self, label: str, *, unit: str = "frame", **facts: Any) -> ProgressCallback:
        """Do the same in lines, for several workflows at once; `facts` tell events apart."""
        if self.tells_events:
            return EventProgress(partial(self.event, "progress", label=label, **facts)).update
        return LineProgress(label, self._say, unit=unit).update

    @contextmanager
    def _tqdm(self, label: str, unit: str) -> Iterator[ProgressCallback]:
        from tqdm import tqdm

        with tqdm(
            desc=visible(label),
            unit=f" {unit}s",
            file=sys.stderr,
            dynamic_ncols=True,
            leave=False,
        ) as bar:

            def update(progress: Progress) -> None:
                bar.total, bar.initial = progress.total, progress.begun
                bar.update(progress.done - bar.n)

            self._bar = bar
            try:
                yield update
            finally:
                self._bar = None

    @contextmanager
    def transfers(self) -> Iterator[TransferCallback]:
        """Show how far long work on a file is, one step after the other; nothing while none is."""
        if self.level == "quiet":
            yield _ignore
        elif sys.stderr.isatty() and not (self.tells_events or os.environ.get("CI")):
            bars = _TransferBars(self)
            try:
                yield bars.update
            finally:
                bars.close()
        else:
            yield TransferLines(self._say).update

    def _named(self, text: str) -> str:
        for path, name in self.names.items():
            for spelled in (path, json.dumps(path)[1:-1]):
                text = text.replace(spelled, name)
        return text

    def _say(self, text: str) -> None:
        text = self._named(text)
        if self.tells_events:
            self.event("message", text=text)
            return
        if self._bar is not None:
            self._bar.clear()
        _print_message(visible(text))
        if self._bar is not None:
            self._bar.refresh()


def describe_error(error: BaseException) -> str:
    """One line for a user: our own errors say it all, others are bugs."""
    if isinstance(error, RefvidError):
        return _one_line(str(error)) or type(error).__name__
    detail = _one_line(str(error))[:_LONGEST_DETAIL]
    if is_out_of_memory(error):
        return (
            f"there is not enough memory{f' ({detail})' if detail else ''}; close other programs, "
            "or raise the limit that was set for this one (ulimit -v)"
        )
    name = type(error).__name__
    return (
        f"unexpected {name}{': ' if detail else ''}{detail}; "
        "this is a bug in refvid: run again with --debug and report the traceback"
    )


def error_document(error: BaseException) -> dict[str, Any]:
    """An error as it appears in JSON."""
    if isinstance(error, Failure):
        return error.document
    return {
        "type": type(error).__name__,
        "message": describe_error(error),
        "exit_code": exit_code_of(error),
    }


class _TransferBars:
    """One bar of bytes per step, for a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._step: str | None = None

    def update(self, transfer: Transfer) -> None:
        from tqdm import tqdm

        bar = self._console._bar  # noqa: SLF001 -- one subject, one file
        if bar is None or transfer.step != self._step:
            self.close()
            self._step = transfer.step
            self._console._bar = bar = tqdm(  # noqa: SLF001
                desc=visible(transfer.step),
                total=transfer.total,
                initial=transfer.done,
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                file=sys.stderr,
                dynamic_ncols=True,
                leave=False,
            )
        # Backwards, where a server begins again.
        bar.update(transfer.done - bar.n)

    def close(self) -> None:
        bar, self._console._bar = self._console._bar, None  # noqa: SLF001
        if bar is not None:
            bar.close()


class _StderrHandler(logging.Handler):
    """Log records as lines that do not tear the progress bar."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        self._console._say(prefix + record.getMessage())  # noqa: SLF001 -- one subject, one file


def _print_result(text: str) -> None:
    if sys.stdout is None:
        raise OutputError("Cannot write to standard output: it is closed.")
    try:
        _print(text, sys.stdout)
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError):
            # Else Python would try once more when it ends, and fail loudly.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"Cannot write to standard output: {reason}.") from error


def _print_message(text: str) -> None:
    # Where nobody can be told, there is nothing to be done about it.
    with suppress(OSError, ValueError):
        _print(text, sys.stderr)


def _print(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream, flush=True)
    except UnicodeEncodeError:
        # A console with a small character set, cp1252 on Windows: escapes are better than a crash.
        encoding = stream.encoding or "ascii"
        plain = text.encode(encoding, "backslashreplace").decode(encoding)
        print(plain, file=stream, flush=True)


def _accept_any_file_name(stream: TextIO) -> None:
    # File names on POSIX are bytes; this writes back exactly those that were read.
    if os.name == "posix" and isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="surrogateescape")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _ignore(_progress: Progress | Transfer) -> None: ...
