"""What encoders say when they refuse: caught for the message, not thrown at the terminal."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import IO, Final

import av.logging

_STDERR: Final = 2
# x264 and x265 write to stderr by themselves until libav has set them up:
# `x264 [error]: invalid preset 'slowly'`.
_OWN_LINE: Final = re.compile(rb"x26[45] \[(\w+)\]: (.*)")
# One for the process: stderr and libav's log are.
_lock: Final = Lock()


@dataclass(slots=True)
class EncoderLog:
    """What was said; complete when the block is left."""

    errors: list[str] = field(default_factory=list)
    """In the order of their precision: what the encoder itself wrote, then libav's words."""

    @property
    def reason(self) -> str:
        """The line that tells most, without a full stop; empty where nothing was said."""
        return self.errors[0] if self.errors else ""


@contextmanager
def encoder_log() -> Iterator[EncoderLog]:
    """Catch the errors that libav and its encoders report in the block.

    Only for attempts of a moment, such as opening an encoder: meanwhile the process' stderr leads
    elsewhere. What others write there appears afterwards.
    """
    log = EncoderLog()
    with _lock, tempfile.TemporaryFile() as file:
        level, skips_repeated = av.logging.get_level(), av.logging.get_skip_repeated()
        av.logging.set_level(av.logging.ERROR)
        av.logging.set_skip_repeated(False)  # a second attempt fails with the same words
        try:
            with av.logging.Capture() as records, _stderr_to(file):
                yield log
        finally:
            av.logging.set_level(level)
            av.logging.set_skip_repeated(skips_repeated)
            own, others = _sort_lines(file)
            log.errors += own
            log.errors += [_plain(message) for _level, _name, message in records]
            if others:
                _write_back(others)


@contextmanager
def _stderr_to(file: IO[bytes]) -> Iterator[None]:
    try:
        stderr = os.dup(_STDERR)
    except OSError:  # a program without a terminal may have none
        yield
        return
    try:
        os.dup2(file.fileno(), _STDERR)
        yield
    finally:
        os.dup2(stderr, _STDERR)
        os.close(stderr)


def _sort_lines(file: IO[bytes]) -> tuple[list[str], bytes]:
    """Errors of encoders, and what others wrote."""
    file.seek(0)
    own: list[str] = []
    others = b""
    for line in file:
        if (match := _OWN_LINE.match(line)) is None:
            others += line
        elif match[1] == b"error":
            own.append(_plain(match[2].decode(errors="replace")))
    return own, others


def _write_back(text: bytes) -> None:
    try:
        os.write(_STDERR, text)
    except OSError:
        return  # there is no stderr


def _plain(message: str) -> str:
    return " ".join(message.split()).rstrip(".")
