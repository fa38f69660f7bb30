"""`-` in place of files: standard input and output.

Videos are read more than once, and results appear when they are whole. So what is piped in is put
into a temporary file first, and so is the result, which is passed on once nothing can fail any
more: a program behind the pipe gets a whole video or nothing.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from refvid.cli.console import Console
from refvid.cli.flags import BatchRules
from refvid.cli.streams import taken_stdout
from refvid.errors import InputError, OptionError, OutputError

if TYPE_CHECKING:
    from refvid.media.inputs import Job

PIPE = "-"
Container = Literal["matroska", "y4m"]

_SUFFIXES = {"matroska": ".mkv", "y4m": ".y4m"}
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Pipes:
    """The words of a command, with files in place of pipes."""

    inputs: Sequence[str | Job]
    rules: BatchRules
    _stdout: BinaryIO | None = None

    def finish(self, code: int) -> int:
        """Pass the result on, if all went well: takes and gives the exit code.

        Raises:
            OutputError: Nobody reads it to the end.
        """
        if self._stdout is None or code != 0 or self.rules.dry_run:
            return code
        assert self.rules.output is not None, "it is a file of ours"
        try:
            with Path(self.rules.output).open("rb") as result:
                shutil.copyfileobj(result, self._stdout, _BLOCK)
            self._stdout.flush()
        except OSError as error:
            raise OutputError(f"Cannot write to standard output: {error.strerror}.") from error
        return code


@contextmanager
def open_pipes(
    console: Console,
    inputs: Sequence[str | Job],
    rules: BatchRules,
    container: Container | None = None,
    *,
    compare: bool = False,
) -> Iterator[Pipes]:
    """Take the pipes among a command's inputs and output, if there are any.

    Args:
        console: Prints no results on standard output while a video goes there.
        inputs: As given.
        rules: As given.
        container: Of a result on standard output.
        compare: Whether a page beside the result is wanted.

    Raises:
        OptionError: They do not go together, or with a terminal.
        InputError: Nothing comes in.
        OutputError: There is no room for temporary files.
    """
    reads, writes = PIPE in inputs, rules.output == PIPE
    _check(console, rules, container, reads=reads, writes=writes, compare=compare)
    if not reads and not writes:
        yield Pipes(inputs, rules)
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="refvid-pipe-")))
        stdout = None
        if writes:
            assert container is not None, "checked above"
            stdout = stack.enter_context(taken_stdout())
            console.prints_paths = False
            rules = replace(rules, output=str(folder / f"stdout{_SUFFIXES[container]}"))
        if reads:
            piped = folder / "stdin"
            _receive(piped)
            inputs = [str(piped) if word == PIPE else word for word in inputs]
        # What is piped is gone when the program ends.
        rules = replace(rules, no_resume=True)
        yield Pipes(inputs, rules, stdout)


def _check(
    console: Console,
    rules: BatchRules,
    container: Container | None,
    *,
    reads: bool,
    writes: bool,
    compare: bool,
) -> None:
    output = rules.output
    if reads and (output is None or "{dir}" in output):
        raise OptionError(
            "what is piped in has no folder and no name: say with -o FILE where the result goes"
        )
    if reads and (sys.stdin is None or sys.stdin.isatty()):
        raise OptionError("-: nothing is piped in, as in ffmpeg ... -f matroska - | refvid ...")
    if not writes:
        if container is not None:
            raise OptionError("--container is for a result on standard output: -o -")
        return
    if container is None:
        raise OptionError("-o - needs a container: --container matroska or --container y4m")
    if console.json:
        raise OptionError("--json and -o - would both be written to standard output")
    if compare:
        raise OptionError("--compare writes a page beside the result: give that a file with -o")
    if sys.stdout is not None and sys.stdout.isatty() and not rules.dry_run:
        raise OptionError("-o - would fill the terminal: write > FILE or | PROGRAM behind it")


def _receive(target: Path) -> None:
    with target.open("wb") as file:
        while block := _read_block():
            try:
                file.write(block)
                file.flush()
            except OSError as error:
                raise OutputError(
                    f"What is piped in does not fit into {target.parent.parent}: "
                    f"{error.strerror}. Set TMPDIR to a folder with more room."
                ) from error
    if target.stat().st_size == 0:
        raise InputError("Nothing was piped in: standard input is empty.")


def _read_block() -> bytes:
    try:
        return sys.stdin.buffer.read(_BLOCK)
    except OSError as error:
        raise InputError(f"Cannot read standard input: {error.strerror}.") from error
